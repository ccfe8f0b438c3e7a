"""Edits: whatever is decided about a source, what is stored is spans of it within the sizes, and all that is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chunking import CHUNKERS
from services.chunking.edits import Edits
from tests.unit.chunking.invariants import core_start, texts

PIECES = [
    "# Title\n\n",
    "## Part\n\n",
    "A sentence of some length. ",
    "Another.\n\n",
    "- item\n",
    "| a | b |\n|---|---|\n",
]
sources = st.lists(st.sampled_from([*PIECES, "```\ncode\n```\n\n", "word " * 40 + "\n\n", "三个字。\n\n"]), max_size=60)


@st.composite
def edited_sources(draw: st.DrawFn) -> tuple[str, Edits]:
    source = "".join(draw(sources))
    places = sorted(draw(st.sets(st.integers(0, len(source)), max_size=12)))
    dropped = tuple(zip(places[::2], places[1::2], strict=False))
    marks = st.frozensets(st.integers(0, len(source)), max_size=20)
    return source, Edits(dropped, draw(marks), draw(marks))


@pytest.mark.parametrize("name", CHUNKERS)
@settings(max_examples=150, deadline=None)
@given(case=edited_sources(), size=st.integers(100, 400))
def test_chunks_and_what_was_dropped_part_the_source(name: str, case: tuple[str, Edits], size: int) -> None:
    source, edits = case
    spans = CHUNKERS[name](source, size=size, overlap=size // 4, edits=edits)
    gone = {place for start, end in edits.dropped for place in range(start, end)}
    held: list[int] = []
    for span in spans:
        assert 0 < span.end - span.start <= size
        assert not gone & set(range(span.start, span.end)), "a chunk holds dropped text"
        held += range(core_start(span), span.end)
    assert held == sorted(set(held)), "cores out of order or twice"
    missing = set(range(len(source))) - set(held) - gone
    assert not "".join(source[place] for place in sorted(missing)).strip()


def test_a_chunk_ends_where_text_was_dropped_and_no_overlap_reaches_over_it() -> None:
    source = "# Bees\n\n" + "Bees make honey. " * 10 + "\n\nNoise here.\n\n" + "They dance. " * 10
    start = source.index("Noise")
    spans = CHUNKERS["markdown"](source, size=1000, overlap=200, edits=Edits(((start, start + 11),)))
    assert [text[:6] for text in texts(source, spans)] == ["# Bees", "They d"]
    assert [span.heading_path for span in spans] == [("Bees",), ("Bees",)]


def test_a_chunk_begins_at_a_new_topic_and_not_where_two_pieces_belong_together() -> None:
    first, second, third = ("The hive stands by the wall. " * 8, "Bread wants a hot oven. " * 8, "Rye too. " * 8)
    source = "\n\n".join((first, second, third))
    plain = CHUNKERS["markdown"](source, size=600, overlap=0)
    place = source.index("Bread")
    broken = CHUNKERS["markdown"](source, size=600, overlap=0, edits=Edits(breaks=frozenset({place})))
    assert place in {span.start for span in broken}
    joined = CHUNKERS["markdown"](
        source, size=600, overlap=0, edits=Edits(joins=frozenset(span.start for span in plain))
    )
    assert not {span.start for span in plain[1:]} & {span.start for span in joined}


def test_a_join_never_makes_a_chunk_larger_than_allowed() -> None:
    source = "\n\n".join("Word and word and word. " * 6 for _ in range(20))
    starts = frozenset(place for place in range(len(source)) if source.startswith("Word", place))
    assert all(
        span.end - span.start <= 300
        for span in CHUNKERS["markdown"](source, size=300, overlap=50, edits=Edits(joins=starts))
    )
