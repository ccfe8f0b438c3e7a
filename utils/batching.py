"""Cutting sequences into runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive runs of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def windows(tokens: Sequence[int], texts: Sequence[str], window_tokens: int, *, one_in: int = 8) -> Iterator[range]:
    """Consecutive windows of at most `window_tokens`; a longer text is one by itself. Between half of that and all of
    it a window ends after a text whose content says so, one of `one_in`: an inserted paragraph then moves the border of
    its own window, and not those of all windows after it."""
    start, size = 0, 0
    for position, cost in enumerate(tokens):
        if position > start and size + cost > window_tokens:
            yield range(start, position)
            start, size = position, 0
        size += cost
        if size >= window_tokens / 2 and zlib.crc32(texts[position].encode()) % one_in == 0:
            yield range(start, position + 1)
            start, size = position + 1, 0
    if start < len(tokens):
        yield range(start, len(tokens))
