"""Noise that needs no model: page numbers, lines that come again on every page, what menus and buttons say. Pure.

Looks only at paragraphs that stand between blocks of prose in no list, table or code, and at single lines of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.chunking import costs
from services.chunking.boilerplate import BREADCRUMB, NAVIGATION, PAGE_NUMBER
from services.chunking.document import Block, MarkdownDocument, trimmed
from services.chunking.edits import Span
from services.chunking.guards import MOST_DROPPED, has_facts, has_names

# A line is a page's header or footer if it comes so often; its first occurrence stays.
_REPEATED = 4
_LONGEST_LINE = 160
_SHORTEST_SERIES = 3
# At least two words, and not the end of a sentence, an emphasis or a line that announces something.
_HEADER = re.compile(r"[^\s*_#]+(?: +\S+)*? +\S*[^\s*_:：.!?…。！？,;，；]")
# Consecutive page numbers rise by at most so much: pages without a number lie between.
_LARGEST_STEP = 3


@dataclass(frozen=True, slots=True)
class Line:
    """`alone`: it is a paragraph by itself, between others that it does not belong to."""

    start: int
    end: int
    text: str
    alone: bool


def noise(document: MarkdownDocument) -> tuple[Span, ...]:
    """Ranges to leave out, ascending; none if they were more than a document can be expected to have too much."""
    lines = list(_lines(document))
    found = sorted({*_page_numbers(lines), *_repeated(lines), *_navigation(lines)})
    length = sum(end - start for start, end in found)
    return tuple(found) if length <= MOST_DROPPED * len(document.source) else ()


def _lines(document: MarkdownDocument) -> Iterator[Line]:
    blocks = document.blocks
    for place, block in enumerate(blocks):
        if block.kind != "paragraph":
            continue
        before = blocks[place - 1] if place else None
        after = blocks[place + 1] if place + 1 < len(blocks) else None
        alone = not _belongs(document, before, block, after)
        yield from _lines_of(document, block, alone=alone)


def _belongs(document: MarkdownDocument, before: Block | None, block: Block, after: Block | None) -> bool:
    """Whether the paragraph is about a neighbour: all that stands under a heading, the caption of a figure, what
    announces a list."""
    if before is not None and before.is_lead:
        return True
    return after is not None and costs.before(document, block, after) > costs.BLOCK


def _lines_of(document: MarkdownDocument, block: Block, *, alone: bool) -> Iterator[Line]:
    start = block.start
    single = True
    while start < block.end:
        end = document.source.find("\n", start, block.end)
        end = block.end if end < 0 else end
        single = single and end == block.end
        first, last = trimmed(document.source, start, end)
        if first < last:
            yield Line(first, last, document.source[first:last], alone and single)
        start = end + 1


def _page_numbers(lines: Sequence[Line]) -> Iterator[Span]:
    """Lines that count pages: at least three, each a little more than the one before."""
    series: list[tuple[int, Line]] = []
    for line in lines:
        match = PAGE_NUMBER.fullmatch(line.text) if len(line.text) <= _LONGEST_LINE else None
        if match is None:
            continue
        number = int(match["number"])
        if series and not 0 < number - series[-1][0] <= _LARGEST_STEP:
            yield from _counted(series)
            series = []
        series.append((number, line))
    yield from _counted(series)


def _counted(series: Sequence[tuple[int, Line]]) -> Iterator[Span]:
    if len(series) >= _SHORTEST_SERIES:
        yield from ((line.start, line.end) for _, line in series)


def _repeated(lines: Sequence[Line]) -> Iterator[Span]:
    """A whole sentence says something wherever it stands ("This operator is left associative."): it is no header."""
    candidates = [
        line
        for line in lines
        if line.alone and len(line.text) <= _LONGEST_LINE and _HEADER.fullmatch(line.text) and not has_facts(line.text)
    ]
    often = {text for text, times in Counter(_folded(line.text) for line in candidates).items() if times >= _REPEATED}
    seen: set[str] = set()
    for line in candidates:
        folded = _folded(line.text)
        if folded in often and folded in seen:
            yield line.start, line.end
        seen.add(folded)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _navigation(lines: Sequence[Line]) -> Iterator[Span]:
    for line in lines:
        if len(line.text) <= _LONGEST_LINE and not has_facts(line.text) and _navigates(line):
            yield line.start, line.end


def _navigates(line: Line) -> bool:
    if NAVIGATION.fullmatch(line.text) is not None:
        return True
    return line.alone and BREADCRUMB.fullmatch(line.text) is not None and not has_names(line.text)
