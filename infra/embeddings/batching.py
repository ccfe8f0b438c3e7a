"""Cutting what has to be embedded into requests and windows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.domain import EmbeddingSpace
from services.models.embedding import EmbeddingUnit
from utils.batching import windows
from utils.hashing import content_key
from utils.tokens import estimate_tokens


def single_units(space: EmbeddingSpace, texts: Sequence[str]) -> list[EmbeddingUnit]:
    """Each text for itself: its vector follows from it alone."""
    keys = tuple(content_key("embedding", space.name, space.dimensions, text) for text in texts)
    return [EmbeddingUnit(range(len(texts)), keys, together=False)] if texts else []


def window_units(space: EmbeddingSpace, texts: Sequence[str], window_tokens: int) -> list[EmbeddingUnit]:
    """Windows of neighbours that a contextual model reads together: each key follows from the whole window."""
    units = []
    for positions in windows([estimate_tokens(text) for text in texts], texts, window_tokens):
        inside = [texts[position] for position in positions]
        window = content_key("window", space.name, space.dimensions, inside).hex()
        units.append(
            EmbeddingUnit(positions, tuple(content_key("embedding", window, i) for i in range(len(inside))), True)
        )
    return units


def request_batches(texts: Sequence[str], most: int, most_tokens: int) -> Iterator[list[str]]:
    """Runs of at most `most` texts and `most_tokens` estimated tokens; a text that is longer goes alone."""
    batch: list[str] = []
    size = 0
    for text in texts:
        cost = estimate_tokens(text)
        if batch and (len(batch) == most or size + cost > most_tokens):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += cost
    if batch:
        yield batch
