"""The Markdown files of a folder, and why what is not among them is not."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interfaces_adaptor.gateways.folders.ignoring import Ignoring
from interfaces_adaptor.gateways.folders.rules import WalkRules
from interfaces_adaptor.gateways.readers import READERS

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LONGEST_PATH = 2_000  # characters of a document's `source`


class FolderRefused(Exception):
    """The folder cannot be taken as a whole; the message says what to do."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """`path` is the file's path below the root, in `/` form and NFC: its identity."""

    path: str
    at: Path


@dataclass(frozen=True, slots=True)
class NotTaken:
    """`path` of a folder ends in `/`. A `problem` is Markdown that should have been taken: what the dataset has of it
    stays as it is."""

    path: str
    reason: str
    problem: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    at: Path
    path: str
    ignoring: Ignoring
    above: tuple[str, ...]  # real paths of the folders that it was reached through


def walk(root: Path, rules: WalkRules, *, below: str = "") -> Iterator[FoundFile | NotTaken]:
    """All that is in `root`; `below` comes before its path in each identity. Raises FolderRefused."""
    real, files = os.path.realpath(root), 0
    waiting = [_Folder(root, "", Ignoring.of(rules), (real,))]
    while waiting:
        folder = waiting.pop()
        for found in _entries(folder, real):
            if isinstance(found, _Folder):
                waiting.append(found)
                continue
            files += isinstance(found, FoundFile)
            if files > rules.max_files:
                raise FolderRefused(f"{root} has more than {rules.max_files:,} Markdown files (--max-files).")
            yield (
                FoundFile(below + found.path, found.at)
                if isinstance(found, FoundFile)
                else NotTaken(below + found.path, found.reason, found.problem)
            )


def _entries(folder: _Folder, root: str) -> Iterator[FoundFile | NotTaken | _Folder]:
    try:
        ignoring = folder.ignoring.within(folder.at, folder.path)
        with os.scandir(folder.at) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        if not folder.path:
            raise FolderRefused(f"{folder.at} cannot be read ({error.strerror}).") from error
        yield NotTaken(folder.path, f"cannot be read ({error.strerror})", problem=True)
        return
    for entry in entries:
        yield _entry(entry, folder, ignoring, root)


def _entry(entry: os.DirEntry[str], folder: _Folder, ignoring: Ignoring, root: str) -> FoundFile | NotTaken | _Folder:
    path = folder.path + unicodedata.normalize("NFC", entry.name)
    try:
        if entry.is_symlink() and (reason := _link_left_out(entry, folder, ignoring.rules, root)):
            return NotTaken(path, reason)
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError as error:
        return NotTaken(path, f"cannot be read ({error.strerror})", problem=True)
    path += "/" if is_folder else ""
    if reason := ignoring.reason(path):
        return NotTaken(path, reason)
    if is_folder:
        if reason := name_refused(path):
            return NotTaken(path, reason, problem=True)
        return _Folder(folder.at / entry.name, path, ignoring, (*folder.above, os.path.realpath(entry.path)))
    if not is_file or not is_markdown(path):
        return NotTaken(path, "not a Markdown file")
    if reason := name_refused(path):
        return NotTaken(path, reason, problem=True)
    return FoundFile(path, folder.at / entry.name)


def _link_left_out(entry: os.DirEntry[str], folder: _Folder, rules: WalkRules, root: str) -> str | None:
    target = os.path.realpath(entry.path)
    if rules.links == "skip":
        return "a symbolic link"
    if not os.path.exists(target):
        return "a symbolic link that leads nowhere"
    if target in folder.above:
        return "a symbolic link to a folder that it is in"
    if rules.links == "inside" and os.path.commonpath([target, root]) != root:
        return "a symbolic link that leads out of the folder"
    return None


def is_markdown(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in READERS


def name_refused(path: str) -> str | None:
    """Why a file cannot have a document under this path; None: it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if CONTROL.search(path):
        return "its name contains control characters"
    if "\\" in path:
        return "its name contains a backslash"
    return "its path is too long" if len(path) > LONGEST_PATH else None
