"""Models that score texts against a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.cost.usage import Usage


@dataclass(frozen=True, slots=True)
class Reranked:
    """A relevance score a text, in the order given."""

    scores: tuple[float, ...]
    usage: Usage


class Reranker(Protocol):
    name: str

    async def rerank(self, query: str, texts: Sequence[str]) -> Reranked:
        """Raises ProviderError."""
        ...
