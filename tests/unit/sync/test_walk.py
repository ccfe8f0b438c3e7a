"""What of a folder is taken, and why the rest is not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from interfaces_adaptor.gateways.folders.reading import FolderReader, FolderState
from interfaces_adaptor.gateways.folders.rules import WalkRules
from interfaces_adaptor.gateways.folders.walk import FolderRefused, FoundFile, walk


def fill(root: Path, *paths: str, **texts: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(texts.get(path, f"# {path}\n"))
    return root


def taken(root: Path, rules: WalkRules | None = None) -> set[str]:
    return {one.path for one in walk(root, rules or WalkRules()) if isinstance(one, FoundFile)}


def reasons(root: Path, rules: WalkRules | None = None) -> dict[str, str]:
    return {one.path: one.reason for one in walk(root, rules or WalkRules()) if not isinstance(one, FoundFile)}


def read(root: Path, rules: WalkRules | None = None) -> FolderState:
    return FolderReader(root, rules or WalkRules()).read()


def test_markdown_of_all_folders_is_taken_and_everything_else_is_named_with_its_reason(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "in/b.MARKDOWN", "c.txt", "image.png", ".obsidian/d.md", ".e.md", "node_modules/x/f.md")
    assert taken(tmp_path) == {"a.md", "in/b.MARKDOWN"}
    assert reasons(tmp_path) == {
        "c.txt": "not a Markdown file",
        "image.png": "not a Markdown file",
        ".obsidian/": "hidden",
        ".e.md": "hidden",
        "node_modules/": "a folder of packages",
    }
    assert taken(tmp_path, WalkRules(hidden=True)) >= {".obsidian/d.md", ".e.md"}


def test_ignore_files_mean_what_git_means_by_them(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "build/b.md", "in/draft.md", "in/keep.draft.md", "in/deep/out.md", "out.md", "in/build/c.md")
    (tmp_path / ".gitignore").write_text("/build/\n*draft.md\n")
    (tmp_path / "in" / ".gitignore").write_text("!keep.draft.md\n/deep/\n")
    assert taken(tmp_path) == {"a.md", "out.md", "in/keep.draft.md", "in/build/c.md"}
    assert reasons(tmp_path)["in/deep/"] == "ignored by in/.gitignore"
    assert reasons(tmp_path)["build/"] == "ignored by .gitignore"
    assert len(taken(tmp_path, WalkRules(gitignore=False))) == 7


def test_a_command_has_the_last_word(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "secret/b.md", "node_modules/c.md", ".hidden/d.md", "ignored.md")
    (tmp_path / ".gitignore").write_text("ignored.md\n")
    rules = WalkRules(ignore=("secret/", "!node_modules/", "!.hidden/", "!ignored.md"))
    assert taken(tmp_path, rules) == {"a.md", "node_modules/c.md", ".hidden/d.md", "ignored.md"}
    assert reasons(tmp_path, rules)["secret/"] == "ignored by the command"


def test_symbolic_links_are_followed_as_far_as_the_command_says(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "in/a.md")
    fill(tmp_path / "outside", "b.md")
    (root / "in" / "back").symlink_to(root)
    (root / "inside").symlink_to(root / "in")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "nowhere.md").symlink_to(tmp_path / "none.md")
    (root / "file.md").symlink_to(root / "in" / "a.md")
    assert taken(root) == {"in/a.md"}
    assert set(reasons(root).values()) == {"a symbolic link"}
    inside = WalkRules(links="inside")
    assert taken(root, inside) == {"in/a.md", "inside/a.md", "file.md"}
    assert reasons(root, inside) == {
        "in/back": "a symbolic link to a folder that it is in",
        "inside/back": "a symbolic link to a folder that it is in",
        "outside": "a symbolic link that leads out of the folder",
        "nowhere.md": "a symbolic link that leads nowhere",
    }
    assert taken(root, WalkRules(links="all")) == {"in/a.md", "inside/a.md", "file.md", "outside/b.md"}


def test_identities_are_nfc_and_names_that_only_case_tells_apart_are_two(tmp_path: Path) -> None:
    fill(tmp_path, "e\u0301/cafe\u0301.md", "A.md", "a.md")
    assert taken(tmp_path) == {"é/café.md", "A.md", "a.md"}


def test_files_of_one_identity_are_none(tmp_path: Path) -> None:
    fill(tmp_path, "caf\u00e9.md", "cafe\u0301.md", "a.md")
    state = read(tmp_path)
    assert [file.path for file in state.files] == ["a.md"]
    assert state.unread == ["café.md"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"caf\xe9.md", "its name is not UTF-8"),
        (b"a\nb.md", "its name contains control characters"),
        (b"a\\b.md", "its name contains a backslash"),
    ],
)
def test_a_name_that_no_document_can_have_is_a_problem(tmp_path: Path, name: bytes, reason: str) -> None:
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_text("# A\n")
    except OSError:
        pytest.skip("the file system has no such names")
    assert [(one.reason, one.problem) for one in read(tmp_path).not_taken] == [(reason, True)]


def test_what_is_in_a_file_decides_whether_it_is_taken(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "large.md")
    (tmp_path / "large.md").write_text("x" * 200)
    (tmp_path / "latin.md").write_bytes("é".encode("latin-1"))
    (tmp_path / "nul.md").write_bytes(b"a\0b")
    (tmp_path / "empty.md").write_text("\ufeff \n")
    state = read(tmp_path, WalkRules(max_bytes=100))
    assert {file.path: file.empty for file in state.files} == {"a.md": False, "empty.md": True}
    assert {one.path: one.reason for one in state.not_taken} == {
        "large.md": "larger than 100 bytes",
        "latin.md": "not UTF-8 text",
        "nul.md": "not UTF-8 text",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_must_not_be_read_is_a_problem_of_all_that_is_in_it(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "shut/b.md")
    (tmp_path / "shut").chmod(0)
    try:
        assert read(tmp_path).unread == ["shut/"]
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_a_folder_that_goes_while_it_is_walked_is_a_problem_and_no_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.md", "in/b.md")
    listed = os.scandir

    def gone(path: Path) -> object:
        if Path(path).name == "in":
            raise FileNotFoundError(2, "No such file or directory")
        return listed(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert read(tmp_path).unread == ["in/"]


def test_too_many_files_and_what_is_no_folder_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "b.md", "c.md")
    with pytest.raises(FolderRefused, match="more than 2 Markdown files"):
        taken(tmp_path, WalkRules(max_files=2))
    for root in (Path("/"), tmp_path / "a.md", tmp_path / "none"):
        with pytest.raises(FolderRefused):
            read(root)


def test_a_file_is_read_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "old.md", "new.md")
    long_ago = time.time() - 60
    os.utime(tmp_path / "old.md", (long_ago, long_ago))
    opened: list[str] = []
    whole = Path.read_bytes

    def noted(path: Path) -> bytes:
        opened.append(path.name)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    reader = FolderReader(tmp_path, WalkRules())
    first = reader.read()
    assert reader.read().files == first.files
    assert opened.count("old.md") == 1
    # It changed just now: its clock may not show the next change.
    assert opened.count("new.md") == 2
    (tmp_path / "old.md").write_text("# Another text\n")
    assert reader.read().files != first.files
