"""The plain way: LangChain's RecursiveCharacterTextSplitter over the whole text, which knows nothing of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from services.chunking.document import trimmed
from services.chunking.edits import NO_EDITS, Edits, kept
from services.chunking.parameters import DEFAULT_OVERLAP, DEFAULT_SIZE, check_parameters
from services.domain import ChunkSpan
from utils.boundaries import grapheme_ceiling, grapheme_floor

_SPACE = re.compile(r"\s+")
_SEPARATORS = ["\n\n", "\n", "。", " "]
# The splitter holds every word of its text as an object: it gets windows that end at a paragraph where there is one.
_WINDOW = 65_536


def chunk_recursive(
    source: str, *, size: int = DEFAULT_SIZE, overlap: int = DEFAULT_OVERLAP, edits: Edits = NO_EDITS
) -> list[ChunkSpan]:
    """Chunks of at most `size` characters by paragraphs, lines, words; no headings. Each but the first begins up to
    `overlap` characters earlier, at a word, and says in `meta["overlap"]` how many characters that are. A chunk begins
    where `edits` wants one; it has no choice of places, so that `joins` say nothing to it.

    Raises InvalidChunkSize for a size below 100 or an overlap that is not smaller.
    """
    check_parameters(size, overlap)
    spans: list[ChunkSpan] = []
    stretches = list(kept(source, 0, len(source), edits.dropped))
    places = [start for start, _ in stretches] + sorted(edits.breaks)
    for first, last in stretches:
        bounds = [first, *sorted(place for place in set(places) if first < place < last), last]
        for begin, stop in pairwise(bounds):
            for number, (core, end) in enumerate(_cores(source, begin, stop, size - overlap)):
                start = _word_start(source, spans[-1].start + 1, core, overlap) if number else core
                spans.append(ChunkSpan(start, end, (), {"overlap": core - start} if start < core else {}))
    return spans


def _cores(source: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Pieces of at most `size` characters that hold all text of `source[start:end]`, white space around left out."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=size, chunk_overlap=0, separators=_SEPARATORS, keep_separator="end", strip_whitespace=False
    )
    while start < end:
        for part in splitter.split_text(source[start : _window_end(source, start, end)]):
            part_end = start + len(part)
            while start < part_end:
                stop = part_end if part_end - start <= size else grapheme_floor(source, start + size, start + 1)
                first, last = trimmed(source, start, stop)
                if first < last:
                    yield first, last
                start = stop


def _window_end(source: str, start: int, end: int) -> int:
    limit = start + _WINDOW
    if limit >= end:
        return end
    for separator in _SEPARATORS:
        found = source.rfind(separator, start + _WINDOW // 2, limit)
        if found > 0:
            return found + len(separator)
    return grapheme_floor(source, limit, start + 1)


def _word_start(source: str, lowest: int, core: int, overlap: int) -> int:
    """The first word that begins at most `overlap` characters before `core` and not before `lowest`; in a text
    without spaces the first character."""
    floor = max(core - overlap, lowest)
    if source[max(floor - 1, 0)].isspace():
        return trimmed(source, floor, core)[0]
    space = _SPACE.search(source, floor, core)
    return space.end() if space else min(grapheme_ceiling(source, floor), core)
