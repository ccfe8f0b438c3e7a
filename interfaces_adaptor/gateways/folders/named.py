"""Files that are named alone, by a pattern of the shell or by their folder: in each case with the same identity."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from interfaces_adaptor.gateways.folders.rules import WalkRules
from interfaces_adaptor.gateways.folders.walk import FolderRefused, FoundFile, NotTaken, name_refused, walk


def named_files(paths: Sequence[Path], root: Path, rules: WalkRules) -> tuple[list[FoundFile], list[NotTaken]]:
    """Each once, in the order of its identity, its path below `root`. A file that is named itself is there whatever
    the rules for folders say. Raises FolderRefused for what is not below `root`, and for two files of one identity."""
    found: dict[str, set[Path]] = defaultdict(set)
    not_taken = []
    for path in paths:
        identity = identity_below(path, root)
        if not path.is_dir():
            if reason := name_refused(identity):
                raise FolderRefused(f"{path} cannot be taken: {reason}.")
            found[identity].add(path.resolve())
            continue
        for one in walk(path, rules, below="" if identity == "." else f"{identity}/"):
            if isinstance(one, FoundFile):
                found[one.path].add(one.at.resolve())
            else:
                not_taken.append(one)
    for identity, places in found.items():
        if len(places) > 1:
            told = " and ".join(sorted(str(place) for place in places))
            raise FolderRefused(f"Two files would be one document, {identity}: {told}. Rename one of them.")
    return [FoundFile(identity, found[identity].pop()) for identity in sorted(found)], not_taken


def identity_below(path: Path, root: Path) -> str:
    """The path below `root`, however it was typed, in `/` form and NFC. Raises FolderRefused."""
    for below, above in (
        (os.path.abspath(path), os.path.abspath(root)),
        (os.path.realpath(path), os.path.realpath(root)),
    ):
        if Path(below).is_relative_to(above):
            return unicodedata.normalize("NFC", Path(below).relative_to(above).as_posix())
    raise FolderRefused(
        f"{path} is not in {root.resolve()}. A document is known by its path in a folder: name that folder with --root."
    )
