"""What every chunker promises, whatever the source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chunking import CHUNKERS, Chunker, InvalidChunkSize

chunkers = pytest.mark.parametrize("chunker", [pytest.param(chunker, id=name) for name, chunker in CHUNKERS.items()])
PIECES = [
    "# One\n", "## Two\n", "word ", "a sentence of words. ", "\n\n", "- item\n", "| a | b |\n", "```\n", "漢字", "\r\n",
    "x" * 90,
]  # fmt: skip
SOURCES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join).filter(str.strip)


@chunkers
@settings(max_examples=60, deadline=None)
@given(source=SOURCES)
def test_chunks_are_spans_in_order_that_hold_all_the_text(chunker: Chunker, source: str) -> None:
    chunks = chunker(source, size=120, overlap=20)
    covered: set[int] = set()
    for chunk in chunks:
        assert source[chunk.start : chunk.end].strip()
        covered.update(range(chunk.start, chunk.end))
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    assert not "".join(letter for place, letter in enumerate(source) if place not in covered).strip()


@chunkers
@settings(max_examples=30, deadline=None)
@given(source=SOURCES)
def test_the_same_source_gives_the_same_chunks(chunker: Chunker, source: str) -> None:
    assert chunker(source, size=120, overlap=20) == chunker(source, size=120, overlap=20)


@chunkers
@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (100, 100), (100, -1)])
def test_sizes_that_make_no_sense_are_refused(chunker: Chunker, size: int, overlap: int) -> None:
    with pytest.raises(InvalidChunkSize):
        chunker("some text", size=size, overlap=overlap)
