"""What of a folder is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Links = Literal["skip", "inside", "all"]


@dataclass(frozen=True, slots=True)
class WalkRules:
    """`ignore` are patterns as a `.gitignore` in the root would have them. Symbolic links are left out (`skip`),
    followed where they lead to something within the root (`inside`), or wherever they lead (`all`)."""

    gitignore: bool = True
    hidden: bool = False
    links: Links = "skip"
    ignore: tuple[str, ...] = ()
    max_bytes: int = 20 * 1024 * 1024
    max_files: int = 100_000
