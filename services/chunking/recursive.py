"""The plain way: LangChain's RecursiveCharacterTextSplitter over the whole text, which knows nothing of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.chunking.document import trimmed
from services.chunking.parameters import DEFAULT_OVERLAP, DEFAULT_SIZE, check_parameters
from services.domain import ChunkSpan
from utils.boundaries import grapheme_ceiling, grapheme_floor

_SPACE = re.compile(r"\s+")
_SEPARATORS = ["\n\n", "\n", "。", " "]
# The splitter holds every word of its text as an object: it gets windows that end at a paragraph where there is one.
_WINDOW = 65_536


def chunk_recursive(source: str, *, size: int = DEFAULT_SIZE, overlap: int = DEFAULT_OVERLAP) -> list[ChunkSpan]:
    """Chunks of at most `size` characters by paragraphs, lines, words; no headings. Each but the first begins up to
    `overlap` characters earlier, at a word, and says in `meta["overlap"]` how many characters that are.

    Raises InvalidChunkSize for a size below 100 or an overlap that is not smaller.
    """
    check_parameters(size, overlap)
    spans: list[ChunkSpan] = []
    for core, end in _cores(source, size - overlap):
        start = _word_start(source, spans[-1].start + 1, core, overlap) if spans else core
        spans.append(ChunkSpan(start, end, (), {"overlap": core - start} if start < core else {}))
    return spans


def _cores(source: str, size: int) -> Iterator[tuple[int, int]]:
    """Pieces of at most `size` characters that hold all text, without surrounding white space."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=size, chunk_overlap=0, separators=_SEPARATORS, keep_separator="end", strip_whitespace=False
    )
    start = 0
    while start < len(source):
        for part in splitter.split_text(source[start : _window_end(source, start)]):
            part_end = start + len(part)
            while start < part_end:
                stop = part_end if part_end - start <= size else grapheme_floor(source, start + size, start + 1)
                core, end = trimmed(source, start, stop)
                if core < end:
                    yield core, end
                start = stop


def _window_end(source: str, start: int) -> int:
    limit = start + _WINDOW
    if limit >= len(source):
        return len(source)
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
