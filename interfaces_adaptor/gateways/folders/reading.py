"""A folder as a sync sees it: the checksum of each file, and what could not be taken."""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from interfaces_adaptor.gateways.folders.rules import WalkRules
from interfaces_adaptor.gateways.folders.walk import FolderRefused, FoundFile, NotTaken, walk
from interfaces_adaptor.gateways.readers import READERS
from services.errors import EmptyDocument, InvalidEncoding
from services.sync.plan import FolderFile

SETTLED_NS = 2_000_000_000

Seen = tuple[int, int, int]  # of a file: when it changed, its size, its number


@dataclass(frozen=True, slots=True)
class FolderState:
    """`root` is the folder itself, by device and number; `at` says where the file of a path is."""

    root: tuple[int, int]
    files: tuple[FolderFile, ...]
    at: Mapping[str, Path]
    not_taken: tuple[NotTaken, ...]

    @property
    def unread(self) -> list[str]:
        return [one.path for one in self.not_taken if one.problem]


@dataclass(slots=True)
class FolderReader:
    """Reads a folder, and what changed of it when it is asked again."""

    root: Path
    rules: WalkRules
    _known: dict[str, tuple[Seen, FolderFile | NotTaken]] = field(default_factory=dict)

    def read(self) -> FolderState:
        """Raises FolderRefused."""
        before = identified(self.root)
        found: dict[str, list[Path]] = defaultdict(list)
        not_taken: list[NotTaken] = []
        for one in walk(self.root, self.rules):
            if isinstance(one, FoundFile):
                found[one.path].append(one.at)
            else:
                not_taken.append(one)
        read = [
            self._file(path, places[0]) if len(places) == 1 else twins(path, places) for path, places in found.items()
        ]
        files = [one for one in read if isinstance(one, FolderFile)]
        not_taken += [one for one in read if isinstance(one, NotTaken)]
        self._known = {path: seen for path, seen in self._known.items() if path in found}
        if identified(self.root) != before:
            raise FolderRefused(f"{self.root} was exchanged while it was read: nothing is done.")
        at = {file.path: found[file.path][0] for file in files}
        return FolderState(before, tuple(files), at, tuple(sorted(not_taken, key=lambda one: one.path)))

    def _file(self, path: str, at: Path) -> FolderFile | NotTaken:
        try:
            stat = at.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            known = self._known.get(path)
            if known is not None and known[0] == seen:
                return known[1]
            read = self._read(path, at, stat.st_size)
        except OSError as error:
            return NotTaken(path, f"cannot be read ({error.strerror})", problem=True)
        # A file that changed just now may change once more within the same tick of its clock.
        if time.time_ns() - stat.st_mtime_ns > SETTLED_NS:
            self._known[path] = (seen, read)
        return read

    def _read(self, path: str, at: Path, size: int) -> FolderFile | NotTaken:
        if size > self.rules.max_bytes:
            return NotTaken(path, f"larger than {self.rules.max_bytes:,} bytes", problem=True)
        data = at.read_bytes()
        checksum = hashlib.sha256(data).hexdigest()
        try:
            READERS[os.path.splitext(path)[1].lower()].read(data)
        except EmptyDocument:
            return FolderFile(path, checksum, empty=True)
        except InvalidEncoding:
            return NotTaken(path, "not UTF-8 text", problem=True)
        return FolderFile(path, checksum)


def twins(path: str, places: list[Path]) -> NotTaken:
    return NotTaken(path, f"{len(places)} files whose names are the same text in different Unicode forms", problem=True)


def identified(root: Path) -> tuple[int, int]:
    """Raises FolderRefused for what is no folder, or no folder to sync."""
    if root.parent == root:
        raise FolderRefused(f"{root} is a whole file system: name a folder in it.")
    try:
        stat = root.stat()
    except OSError as error:
        raise FolderRefused(f"{root} cannot be read ({error.strerror}).") from error
    if not root.is_dir():
        raise FolderRefused(f"{root} is not a folder: `raptor ingest` takes single files.")
    return stat.st_dev, stat.st_ino
