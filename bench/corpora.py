"""The public corpora that measurements use, found beside the checkout or where RAPTOR_SHARED_DATA says."""

from __future__ import annotations

import json
import lzma
import os
from dataclasses import dataclass
from pathlib import Path


class CorpusMissing(Exception):
    """The corpus is not on this machine; set RAPTOR_SHARED_DATA to the folder that holds it."""


@dataclass(frozen=True, slots=True)
class Source:
    path: str
    markdown: str


def shared_data() -> Path:
    given = os.environ.get("RAPTOR_SHARED_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"


def corpus(name: str) -> list[Source]:
    """Raises CorpusMissing."""
    path = shared_data() / name / "files.jsonl.xz"
    if not path.is_file():
        raise CorpusMissing(f"{name} is not here")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [Source(row["path"], row["markdown"]) for row in map(json.loads, lines)]
