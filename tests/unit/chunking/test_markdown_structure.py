"""The promises about headings, code, tables and lists, for documents that nobody wrote by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chunking import chunk_markdown
from services.chunking.document import parse_markdown
from services.domain import ChunkSpan
from tests.unit.chunking.invariants import assert_sound, corpus


@dataclass(frozen=True)
class Part:
    """A block of a document; `level` for headings, `pieces` are what must stay whole when the block does not."""

    kind: str
    text: str
    level: int = 0
    pieces: tuple[str, ...] = ()


def sentence(number: int, words: int) -> str:
    return f"Sentence s{number} has" + f" word{number}" * words + "."


@st.composite
def documents(draw: st.DrawFn) -> list[Part]:
    number = count()
    build: dict[str, Callable[[int], Part]] = {
        "heading": lambda size: Part("heading", f"{'#' * (size % 6 + 1)} T{next(number)}", size % 6 + 1),
        "paragraph": lambda size: Part("paragraph", " ".join(sentence(next(number), 3) for _ in range(size % 12 + 1))),
        "fence": lambda size: of_lines("fence", "```py", [f"x{next(number)} = {size}" for _ in range(size)], "```"),
        "list": lambda size: of_lines("list", "", [f"- item {next(number)} is here" for _ in range(size % 25 + 1)], ""),
        "table": lambda size: of_lines(
            "table", "| a | b |\n|---|---|", [f"| r{next(number)} | {size} |" for _ in range(size % 25 + 1)], ""
        ),
    }
    shapes = draw(st.lists(st.tuples(st.sampled_from(sorted(build)), st.integers(1, 60)), min_size=1, max_size=25))
    return [build[kind](size) for kind, size in shapes]


def of_lines(kind: str, first: str, lines: list[str], last: str) -> Part:
    return Part(kind, "\n".join([first, *lines, last]).strip(), pieces=tuple(lines))


def source_of(parts: list[Part]) -> str:
    # A comment between two lists, or they would be one.
    return "\n\n".join(f"<!-- -->\n\n{part.text}" if part.kind == "list" else part.text for part in parts)


def chunked(parts: list[Part], size: int, overlap: int) -> tuple[str, list[ChunkSpan]]:
    source = source_of(parts)
    spans = chunk_markdown(source, size=size, overlap=overlap)
    assert_sound(source, spans, size, overlap)
    return source, spans


structured = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
sizes = st.integers(250, 1200)


@structured
@given(parts=documents(), size=sizes)
def test_blocks_that_fit_with_their_heading_are_whole(parts: list[Part], size: int) -> None:
    source, spans = chunked(parts, size, 50)
    lead = 0
    for part in parts:
        if part.kind == "heading":
            lead += len(part.text) + 2
            continue
        wanted = [part.text] if lead + len("<!-- -->\n\n") + len(part.text) <= size else part.pieces
        for piece in wanted:
            assert any(piece in source[span.start : span.end] for span in spans), piece
        lead = 0


@structured
@given(parts=documents(), size=sizes)
def test_no_chunk_ends_with_a_heading_that_has_text(parts: list[Part], size: int) -> None:
    source, spans = chunked(parts, size, 50)
    ends = {source[span.start : span.end].splitlines()[-1] for span in spans}
    for part, following in pairwise(parts):
        if part.kind == "heading" and (following.kind != "heading" or following.level > part.level):
            assert part.text not in ends


@structured
@given(parts=documents(), size=sizes)
def test_the_heading_path_is_above_everything_in_the_chunk(parts: list[Part], size: int) -> None:
    source, spans = chunked(parts, size, 50)
    above: list[Part] = []
    for part in parts:
        if part.kind == "heading":
            above = [title for title in above if title.level < part.level] + [part]
            continue
        path = tuple(title.text.lstrip("# ") for title in above)
        for span in spans:
            if part.text in source[span.start : span.end]:
                assert path[: len(span.heading_path)] == span.heading_path
                if source[span.start : span.end] == part.text:
                    assert span.heading_path == path


@structured
@given(parts=documents(), size=sizes, overlap=st.integers(0, 200))
def test_chunks_that_go_on_with_a_block_say_with_which(parts: list[Part], size: int, overlap: int) -> None:
    source, spans = chunked(parts, size, overlap)
    rows = {piece for part in parts if part.kind == "table" for piece in part.pieces}
    lines = {piece for part in parts if part.kind == "fence" for piece in part.pieces}
    for span in spans:
        first = source[span.start : span.end].splitlines()[0]
        assert span.meta.get("table_header") == ("| a | b |\n|---|---|" if first in rows else None)
        assert span.meta.get("fence") == ("py" if first in lines else None)


@structured
@given(parts=documents(), size=sizes)
def test_there_are_not_many_more_chunks_than_the_text_fills(parts: list[Part], size: int) -> None:
    source, spans = chunked(parts, size, 0)
    sections = sum(part.kind == "heading" for part in parts)
    assert len(spans) <= 2 + 2 * len(source) / size + sections / 2


@pytest.mark.parametrize("name", ["md-small", "md-medium", "md-multilingual"])
def test_public_documents_keep_headings_with_their_text_and_blocks_whole(name: str) -> None:
    for number, source in enumerate(corpus(name)):
        if number % 8 == 4:
            spans = chunk_markdown(source)
            ends = {span.end for span in spans}
            blocks = parse_markdown(source).blocks
            first = blocks[0].start
            for before, block in pairwise(blocks):
                assert not (before.is_lead and before.section == block.section and before.end in ends)
                first = first if before.is_lead else block.start
                if block.kind in {"fence", "table", "bullet_list", "ordered_list"} and block.end - first <= 1200:
                    assert any(span.start <= block.start and block.end <= span.end for span in spans)
