"""What holds for the spans of every chunker, whatever the source."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from services.domain import ChunkSpan
from services.text.payload import LONGEST_COUNTED, thin


def core_start(span: ChunkSpan) -> int:
    """Where the part of a chunk begins that no other chunk has."""
    return span.start + int(span.meta.get("overlap", 0))


def without_long_payload(text: str) -> str:
    return thin(text, LONGEST_COUNTED).text


def texts(source: str, spans: Sequence[ChunkSpan]) -> list[str]:
    return [source[span.start : span.end] for span in spans]


def assert_sound(source: str, spans: Sequence[ChunkSpan], size: int, overlap: int) -> None:
    """The cores part the source in order, with nothing but white space between them; no chunk is longer than `size`,
    blank, or padded, a long payload counted as one character; an overlap repeats what the chunk before has, never all
    of it, and no more than was asked for."""
    position = 0
    for span, text in zip(spans, texts(source, spans), strict=True):
        core = core_start(span)
        assert position <= core < span.end
        assert not source[position:core].strip(), "text in no chunk"
        assert len(without_long_payload(source[span.start : core])) <= overlap
        assert len(without_long_payload(text)) <= size
        assert text
        assert text == text.strip()
        assert span.meta.get("overlap") != 0
        position = span.end
    assert not source[position:].strip(), "text in no chunk"
    assert all(before.start < after.start for before, after in pairwise(spans))


def corpus(name: str) -> Iterator[str]:
    """The documents of a public corpus; skips the test where the data is not there."""
    root = Path(os.environ.get("RAPTOR_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
    path = root / name / "files.jsonl.xz"
    if not path.is_file():
        pytest.skip(f"no public data: {name} is neither under RAPTOR_SHARED_DATA nor beside the checkout")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["markdown"]
