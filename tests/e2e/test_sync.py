"""A folder and its dataset: after `raptor sync` and under `raptor watch` they are equal, whatever happened before."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.root import app
from interfaces_adaptor.clients.service_client import ServiceClient
from tests.e2e.processes import RAPTOR, environment, serving
from tests.factories import TOPICS

pytestmark = pytest.mark.timeout(400)

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("service")) as (url, _):
        yield url


@pytest.fixture
def client(service: str) -> Iterator[ServiceClient]:
    with ServiceClient(service) as opened:
        yield opened


@pytest.fixture
def cli(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in this process, on the service of this module; errors are in `result.exception`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAPTOR_URL", service)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes" / "in").mkdir(parents=True)
    for number, topic in enumerate(TOPICS):
        write(tmp_path / "notes" / ("in" if number % 2 else "") / f"{topic}.md", f"About {topic}.")
    return tmp_path / "notes"


def write(path: Path, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {path.stem}\n\n{words}\n", encoding="utf-8")


def texts_of(folder: Path) -> dict[str, str]:
    """Path and checksum of each file that holds text."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.md")
        if path.read_text(encoding="utf-8").strip()
    }


def served(client: ServiceClient, dataset: str) -> dict[str, str]:
    documents = list(client.documents(dataset))
    assert {document["status"] for document in documents} <= {"ready"}
    assert len({document["source"] for document in documents}) == len(documents)
    return {document["source"]: document["checksum"] for document in documents}


def ids(client: ServiceClient, dataset: str) -> dict[str, str]:
    return {document["source"]: document["doc_id"] for document in client.documents(dataset)}


def flat(result: Result) -> str:
    return " ".join(f"{result.output} {result.exception or ''}".split())


class Vault:
    """A folder with a history of chance, and what its documents are known to be."""

    def __init__(self, root: Path, seed: int, files: int) -> None:
        self.root = root
        self.chance = random.Random(seed)
        self.written = 0
        for _ in range(files):
            self.create()

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*.md") if path.stat().st_size)

    def place(self) -> Path:
        parts = ["", "in", "in/deep", "out", "Ünder"]
        names = ["a", "b", "A", "note", "nöte", "日記"]
        number = self.chance.randrange(12)
        return self.root / self.chance.choice(parts) / f"{self.chance.choice(names)}{number}.md"

    def create(self) -> None:
        self.written += 1
        write(self.place(), f"Text number {self.written} about {self.chance.choice(list(TOPICS))}.")

    def step(self) -> None:
        files = self.files()
        kind = self.chance.choice(
            ["create", "create", "edit", "edit", "move", "move", "copy", "swap", "empty", "delete"]
        )
        if kind == "create" or len(files) < 2:
            self.create()
            return
        one, other = self.chance.sample(files, 2)
        if kind == "edit":
            self.written += 1
            one.write_text(f"{one.read_text(encoding='utf-8')}\nLine {self.written}.\n", encoding="utf-8")
        elif kind == "move":
            to = self.place()
            to.parent.mkdir(parents=True, exist_ok=True)
            one.rename(to)
        elif kind == "copy":
            to = self.place()
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(one.read_bytes())
        elif kind == "swap":
            mine, theirs = one.read_bytes(), other.read_bytes()
            one.write_bytes(theirs)
            other.write_bytes(mine)
        elif kind == "empty":
            one.write_text(self.chance.choice(["", " \n"]), encoding="utf-8")
        else:
            one.unlink()


@pytest.mark.parametrize(("files", "steps"), [(24, 80)])
def test_after_each_sync_of_a_history_of_chance_what_is_served_is_the_folder(
    cli: Cli, client: ServiceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, steps: int
) -> None:
    vault = Vault(tmp_path / "vault", 7, files)
    places = [(tmp_path, "vault"), (vault.root, "."), (vault.root.parent.parent, str(vault.root)), (Path("/"), None)]
    tags: dict[str, list[str]] = {}
    for step in range(steps):
        vault.step()
        if vault.chance.random() > 0.2 and step < steps - 1:
            continue
        at, typed = vault.chance.choice(places)
        monkeypatch.chdir(at)
        before = ids(client, "vault") if step > 10 else {}
        cli("sync", typed or f"{vault.root}/", "--dataset", "vault", "--yes")
        expected = texts_of(vault.root)
        assert served(client, "vault") == expected, step
        # What has its text and its place keeps its document, and its tags.
        after = {document["source"]: document for document in client.documents("vault")}
        for source in before.keys() & after.keys() & tags.keys():
            if after[source]["doc_id"] == before[source]:
                assert after[source]["tags"] == tags[source], (step, source)
        tagged = vault.chance.choice(sorted(expected))
        monkeypatch.chdir(vault.root)
        cli("ingest", tagged, "--dataset", "vault", "--tag", f"t{step}")
        tags = {document["source"]: document["tags"] for document in client.documents("vault")}
        assert tags[tagged] == [f"t{step}"]
    again = cli("sync", str(vault.root), "--dataset", "vault")
    assert f"{len(expected)} unchanged." in again.output
    assert "done" not in again.output
    assert client.dataset("vault")["tree_status"] == "live"


def test_the_second_sync_sends_nothing_and_one_changed_note_is_one_document(
    cli: Cli, client: ServiceClient, folder: Path
) -> None:
    def uploads() -> list[dict[str, Any]]:
        return [job for job in client.jobs(limit=500, dataset_id="second") if job["job_type"] == "ingest"]

    cli("sync", str(folder), "--dataset", "second")
    assert len(uploads()) == 1
    cli("sync", str(folder), "--dataset", "second")
    assert len(uploads()) == 1
    write(folder / "in" / "one.md", "The quillback is new.")
    changed = cli("sync", str(folder), "--dataset", "second")
    assert f"1 new, {len(TOPICS)} unchanged." in changed.output
    assert uploads()[0]["result"]["documents"] == 1
    found = client.retrieve("second", "quillback", top_k=1)["results"][0]
    assert found["source"] == "in/one.md"


def test_a_moved_file_keeps_its_document_and_an_emptied_one_is_deleted(
    cli: Cli, client: ServiceClient, folder: Path
) -> None:
    cli("sync", str(folder), "--dataset", "moving")
    before = ids(client, "moving")
    moved, emptied = sorted(path for path in before if path.startswith("in/"))[:2]
    (folder / moved).rename(folder / "elsewhere.md")
    (folder / emptied).write_text("\n")
    told = cli("sync", str(folder), "--dataset", "moving", "--yes").output
    assert f"moved {moved} -> elsewhere.md" in told
    assert f"emptied {emptied}" in told
    after = ids(client, "moving")
    assert after["elsewhere.md"] == before[moved]
    assert served(client, "moving") == texts_of(folder)


def test_more_than_a_tenth_is_deleted_only_if_somebody_says_so(cli: Cli, client: ServiceClient, folder: Path) -> None:
    cli("sync", str(folder), "--dataset", "asked")
    before = ids(client, "asked")
    shutil.rmtree(folder / "in")
    write(folder / "new.md", "New.")
    refused = cli("sync", str(folder), "--dataset", "asked", code=1)
    assert "more than a tenth" in flat(refused)
    assert ids(client, "asked") == before
    shown = cli("sync", str(folder), "--dataset", "asked", "--dry-run")
    assert "1 documents (0 unchanged)" in shown.output
    assert ids(client, "asked") == before
    cli("sync", str(folder), "--dataset", "asked", "--yes")
    assert served(client, "asked") == texts_of(folder)


def test_a_dataset_remembers_its_folder_and_leaves_other_documents_alone(
    cli: Cli, client: ServiceClient, folder: Path, tmp_path: Path
) -> None:
    write(tmp_path / "other.md", "Came otherwise.")
    cli("ingest", "other.md", "--dataset", "remembered")
    cli("sync", str(folder), "--dataset", "remembered")
    assert client.dataset("remembered")["sync_root"] == str(folder)
    told = cli("sync", str(folder), "--dataset", "remembered")
    assert "1 documents that are no files of this folder stay as they are." in told.output

    elsewhere = folder.rename(tmp_path / "renamed")
    refused = cli("sync", str(elsewhere), "--dataset", "remembered", code=1)
    assert "--new-root" in flat(refused)
    before = ids(client, "remembered")
    cli("sync", str(elsewhere), "--dataset", "remembered", "--new-root")
    assert ids(client, "remembered") == before
    assert client.dataset("remembered")["sync_root"] == str(elsewhere)


def test_what_cannot_be_taken_is_named_and_its_document_stays(cli: Cli, client: ServiceClient, folder: Path) -> None:
    write(folder / "large.md", "Small.")
    write(folder / "latin.md", "Cafe.")
    cli("sync", str(folder), "--dataset", "named")
    before = served(client, "named")
    (folder / "large.md").write_text("x" * 3_000)
    (folder / "latin.md").write_bytes("# Café".encode("latin-1"))
    (folder / "page.rst").write_text("# Page")
    write(folder / "nö.md", "One form.")
    write(folder / "no\u0308.md", "The other form.")
    told = cli("sync", str(folder), "--dataset", "named", "--max-bytes", "2000", code=1).output
    for name, reason in (
        ("large.md", "larger than 2,000 bytes"),
        ("latin.md", "not UTF-8 text"),
        ("page.rst", "not a Markdown file"),
        ("nö.md", "Unicode forms"),
    ):
        assert any(name in line and reason in line for line in told.splitlines()), (name, told)
    assert served(client, "named") == before


@pytest.mark.parametrize("kind", ["a file", "the whole file system", "nothing"])
def test_what_is_no_folder_is_refused(cli: Cli, folder: Path, kind: str) -> None:
    typed = {"a file": str(folder / "bees.md"), "the whole file system": "/", "nothing": str(folder / "none")}[kind]
    write(folder / "bees.md", "Bees.")
    for command in ("sync", "watch"):
        refused = cli(command, typed, "--dataset", "refused", code=1)
        assert type(refused.exception).__name__ == "FolderRefused"


def test_a_folder_that_vanishes_while_it_is_sent_changes_nothing(
    cli: Cli, client: ServiceClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("sync", str(folder), "--dataset", "vanishing")
    before = served(client, "vanishing")
    write(folder / "new.md", "New.")
    send = ServiceClient.add_to_upload

    def vanish(*arguments: object, **fields: object) -> object:
        shutil.rmtree(folder)
        return send(*arguments, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(ServiceClient, "add_to_upload", vanish)
    refused = cli("sync", str(folder), "--dataset", "vanishing", code=1)
    assert type(refused.exception).__name__ == "FolderRefused"
    assert served(client, "vanishing") == before


def test_a_file_is_the_same_document_however_it_is_named(
    cli: Cli, client: ServiceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("x", "y"):
        write(tmp_path / "docs" / place / "README.md", f"Of {place}.")
    cli("ingest", "docs", "--dataset", "ways", "--tag", "kept")
    before = ids(client, "ways")
    assert set(before) == {"docs/x/README.md", "docs/y/README.md"}
    write(tmp_path / "docs" / "x" / "README.md", "Of x, changed.")
    told = cli("ingest", "docs/x/README.md", "./docs/y/../y/README.md", "docs", "--dataset", "ways").output
    assert "1 done, 1 unchanged" in told
    assert "replaced docs/x/README.md" in told
    monkeypatch.chdir(tmp_path / "docs" / "x")
    refused = cli("ingest", "../y/README.md", "--dataset", "ways", code=1)
    assert "--root" in flat(refused)
    cli("ingest", "../y/README.md", "README.md", "--root", str(tmp_path), "--dataset", "ways")
    assert ids(client, "ways") == before
    assert {tuple(document["tags"]) for document in client.documents("ways")} == {("kept",)}


def test_two_files_of_one_identity_are_refused(cli: Cli, client: ServiceClient, tmp_path: Path) -> None:
    write(tmp_path / "nö.md", "One form.")
    write(tmp_path / "no\u0308.md", "The other form.")
    refused = cli("ingest", ".", "--dataset", "twins", code=1)
    assert "Two files would be one document" in flat(refused)
    assert "twins" not in {dataset["dataset_id"] for dataset in client.datasets()}


def eventually(holds: Callable[[], bool], told: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, told.read_text()
        time.sleep(0.1)


def test_a_watched_folder_is_followed_through_restarts_of_both_sides(tmp_path: Path, folder: Path) -> None:
    told = tmp_path / "watch.out"

    def watching() -> subprocess.Popen[str]:
        with told.open("a") as out:
            return subprocess.Popen(
                [*RAPTOR, "watch", str(folder), "--dataset", "watched", "--debounce", "0.2", "--yes"],
                cwd=tmp_path, env=environment(), stdout=out, stderr=out, text=True,
            )  # fmt: skip

    def ended(process: subprocess.Popen[str]) -> None:
        process.terminate()
        assert process.wait(30) == 0, told.read_text()

    def followed(url: str) -> None:
        with ServiceClient(url) as client:

            def equal() -> bool:
                documents = {(one["source"], one["checksum"], one["status"]) for one in client.documents("watched")}
                return documents == {(path, checksum, "ready") for path, checksum in texts_of(folder).items()}

            eventually(equal, told)

    watcher = None
    try:
        with serving(tmp_path) as (url, _):
            watcher = watching()
            eventually(lambda: "new" in told.read_text(), told)
            followed(url)
            write(folder / "in" / "saved.md", "The quillback was saved.")
            followed(url)
            with ServiceClient(url) as client:
                found = client.retrieve("watched", "quillback", mode="leaves", top_k=1)["results"]
            assert found[0]["source"] == "in/saved.md"
            (folder / "in" / "saved.md").rename(folder / "moved.md")
            (folder / "bees.md").unlink(missing_ok=True)
            followed(url)
            ended(watcher)
            write(folder / "while-away.md", "Nobody watched.")
            watcher = watching()
            followed(url)
        write(folder / "without-service.md", "Nobody listened.")
        away = ("does not answer", "No service runs")
        eventually(lambda: any(words in told.read_text() for words in away), told)
        with serving(tmp_path) as (url, _):
            followed(url)
            ended(watcher)
    finally:
        if watcher is not None and watcher.poll() is None:
            watcher.kill()
            watcher.wait()
