"""The command line as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from interfaces_adaptor.clients.service_client import ServiceClient
from tests.e2e.processes import run, serving
from tests.factories import TOPICS, page

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A service for the tests that are not about its start: the folder in which commands find it, and its address."""
    folder = tmp_path_factory.mktemp("service")
    with serving(folder) as (url, _):
        yield folder, url


def shelf(folder: Path) -> Path:
    books = folder / "shelf" / "inner"
    books.mkdir(parents=True)
    for topic in TOPICS:
        (books / f"{topic}.md").write_text(page(topic, 6))
    (folder / "shelf" / "notes.txt").write_text("no Markdown")
    (folder / "shelf" / ".hidden").mkdir()
    (folder / "shelf" / ".hidden" / "secret.md").write_text("# Hidden")
    return folder / "shelf"


def test_a_folder_goes_in_and_is_asked_without_a_service_running(tmp_path: Path) -> None:
    """Each command starts a service for its own time; what one left, the next finds."""
    put = run(tmp_path, "ingest", str(shelf(tmp_path)), "--dataset", "shelf")
    assert put.returncode == 0, put.stderr
    assert f"{len(TOPICS)} done" in put.stdout
    asked = run(tmp_path, "retrieve", "How do bees make honey?", "--dataset", "shelf", "-k", "2")
    assert asked.returncode == 0, asked.stderr
    assert "honey" in asked.stdout
    assert "About bees" in asked.stdout


def test_a_document_is_deleted_comes_back_and_is_erased(service: tuple[Path, str], tmp_path: Path) -> None:
    (at, url), folder = service, shelf(tmp_path)
    assert run(at, "ingest", str(folder), "--root", str(folder), "--dataset", "cellar").returncode == 0

    def there() -> list[str]:
        with ServiceClient(url) as client:
            return [document["doc_id"] for document in client.documents("cellar")]

    before = there()
    told = [run(at, "undelete", before[0], "--dataset", "cellar").stdout.strip()]
    assert run(at, "delete", before[0], "--dataset", "cellar").returncode == 0
    assert there() == before[1:]
    told.append(run(at, "undelete", before[0], "--dataset", "cellar").stdout.strip())
    assert there() == before
    assert told == ["It is not deleted.", "It is back."]
    assert run(at, "delete", before[0], "--dataset", "cellar", "--hard").stdout.strip() == "Erased."
    assert there() == before[1:]
    gone = run(at, "undelete", before[0], "--dataset", "cellar")
    assert gone.returncode == 1
    assert "document_not_found" in gone.stderr + gone.stdout


def test_commands_use_the_running_service(service: tuple[Path, str], tmp_path: Path) -> None:
    (at, url), folder = service, shelf(tmp_path)
    assert run(at, "ingest", str(folder), "--root", str(folder), "--dataset", "shelf").returncode == 0
    again = run(at, "ingest", str(folder), "--root", str(folder), "--dataset", "shelf")
    assert f"{len(TOPICS)} unchanged" in again.stdout
    outline = run(at, "tree", "--dataset", "shelf", "--depth", "5", "--url", url)
    assert "at level 0" in outline.stdout
    assert "the tree holds all documents" in outline.stdout
    shelves = run(at, "datasets")
    assert shelves.returncode == 0, shelves.stderr
    assert "shelf" in shelves.stdout
    assert "the tree holds all" in " ".join(shelves.stdout.split())
    listed = run(at, "jobs")
    assert "succeeded" in listed.stdout
    examined = run(at, "doctor")
    assert examined.returncode == 0, examined.stdout
    assert url in examined.stdout


def test_costs_are_told_before_and_after(service: tuple[Path, str], tmp_path: Path) -> None:
    (at, _), folder = service, shelf(tmp_path)
    models = ("--summary-llm", "deepseek", "--embedding-model", "voyage/voyage-context-3")
    expected = run(at, "estimate", str(folder), "--root", str(folder), "--dataset", "costs", *models)
    assert expected.returncode == 0, expected.stderr
    assert f"{len(TOPICS)} documents (0 unchanged)" in expected.stdout
    assert "deepseek/deepseek-v4-flash" in expected.stdout
    used = run(at, "usage", "--group-by", "model")
    assert used.returncode == 0, used.stderr
    assert "0.0000" in used.stdout
    purged = run(at, "purge", "--days", "0")
    assert "0 stored results removed." in purged.stdout


def test_how_passages_are_refined_is_an_option_of_the_upload_and_of_its_estimate(service: tuple[Path, str]) -> None:
    at, url = service
    numbered = [f"{page(topic)}\n\nPage {number} of {len(TOPICS)}" for number, topic in enumerate(TOPICS, 1)]
    (at / "one.md").write_text("\n\n".join(numbered))
    with ServiceClient(url) as client:
        for mode, dropped in (("off", 0), ("heuristic", len(TOPICS))):
            sent = run(at, "ingest", "one.md", "--dataset", "refined", "--refine", mode)
            assert sent.returncode == 0, sent.stderr
            newest = next(job for job in client.jobs() if job["job_type"] == "ingest")
            assert (newest["result"]["refinement"]["mode"], newest["result"]["refinement"]["dropped"]) == (
                mode,
                dropped,
            )
        refused = run(at, "ingest", "one.md", "--dataset", "refined", "--refine", "llm")
        assert refused.returncode == 1
        assert "needs a chat model" in " ".join(refused.stderr.split())
        for mode, stages in (("off", 0), ("llm", 1)):
            expected = run(
                at, "estimate", "one.md", "--dataset", "refined", "--summary-llm", "deepseek", "--refine", mode
            )
            assert expected.stdout.count("refinement") == stages, expected.stdout
        assert run(at, "estimate", "one.md", "--dataset", "refined", "--refine", "sometimes").returncode == 2


def test_what_a_dataset_served_before_is_listed_and_served_again(service: tuple[Path, str], tmp_path: Path) -> None:
    (at, _), note = service, tmp_path / "note.md"
    for words in ("The quillback rules.", "The zarvel rules."):
        note.write_text(f"# Rules\n\n{words}\n")
        assert run(at, "ingest", str(note), "--root", str(tmp_path), "--dataset", "rules").returncode == 0
    listed = run(at, "generations", "rules")
    assert "first build" in listed.stdout, listed.stderr
    assert "kept" in listed.stdout

    back = run(at, "rollback", "rules", "1")
    assert "Generation 1 is served again, as generation 3." in back.stdout, back.stderr
    assert "quillback" in run(at, "retrieve", "What rules?", "--dataset", "rules").stdout
    assert "nothing to do" in run(at, "rollback", "rules", "3").stdout
    assert "rolled back to 1" in run(at, "generations", "rules").stdout
    refused = run(at, "rollback", "rules", "9")
    assert refused.returncode == 1
    assert "generation_not_found" in refused.stderr


def test_what_is_refused_is_told_and_the_rest_goes_on(service: tuple[Path, str], tmp_path: Path) -> None:
    (at, _), folder = service, shelf(tmp_path)
    (folder / "empty.md").write_text("   ")
    (folder / "latin.md").write_bytes("# Caf\xe9".encode("latin-1"))
    put = run(at, "ingest", str(folder), "--root", str(folder), "--dataset", "refused")
    assert put.returncode == 1
    assert f"{len(TOPICS)} done" in put.stdout
    assert "empty.md" in put.stdout
    assert "empty_document" in put.stdout
    assert "invalid_encoding" in put.stdout


def test_errors_say_what_to_do_without_a_traceback(tmp_path: Path) -> None:
    for arguments, told in (
        (("retrieve", "x", "--dataset", "none"), "dataset_not_found"),
        (("retrieve", "x", "--url", "http://127.0.0.1:9"), "does not answer"),
        (("worker",), "DATABASE_URL"),
        (("api",), "DATABASE_URL"),
        (("keys", "revoke", "00000000"), "raptor keys list"),
        (("ingest", str(tmp_path)), "no Markdown"),
    ):
        failed = run(tmp_path, *arguments)
        assert failed.returncode != 0, arguments
        assert told in failed.stderr, (arguments, failed.stderr)
        assert "Traceback" not in failed.stderr


def test_the_demonstration_runs_from_an_empty_folder(tmp_path: Path) -> None:
    shown = run(tmp_path, "demo", seconds=150)
    assert shown.returncode == 0, shown.stderr
    for told in (
        "12 Markdown files",
        "12 done",
        "at level 0",
        "The Orrisk Sound Cooperative runs one ship and one house.",
        "01-who-we-are.md:",
        "leaves,",
        "digest,",
        "/docs",
        ".raptor",
    ):
        assert told in shown.stdout, shown.stdout
    assert "Traceback" not in shown.stdout


def test_api_and_worker_run_apart_on_one_database(tmp_path: Path, database_url: str) -> None:
    import subprocess

    from tests.e2e.processes import RAPTOR, environment

    assert run(tmp_path, "migrate", DATABASE_URL=database_url).returncode == 0
    programs = []
    try:
        for arguments in (("api", "--port", "0"), ("worker",), ("worker",)):
            programs.append(
                subprocess.Popen(
                    [*RAPTOR, *arguments],
                    cwd=tmp_path,
                    env=environment(DATABASE_URL=database_url),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
        assert programs[0].stdout is not None
        url = next(word for word in programs[0].stdout.readline().split() if word.startswith("http://"))
        with ServiceClient(url) as client:
            jobs = [client.ingest(f"ds-{n}", "a.md", page(topic).encode()) for n, topic in enumerate(TOPICS)]
            for job in jobs:
                assert client.wait_for(job["job_id"], timeout_s=60)["status"] == "succeeded"
            assert "2 alive" in client.health()["parts"]["workers"]["detail"]
            assert json.dumps(client.dataset("ds-0"))
    finally:
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait(30)
            if program.stdout is not None:
                program.stdout.close()
