"""The part of a reranker that knows its provider; `infra/paid` puts the rest around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from constants.models import RerankerSpec
from services.models.reranking import Reranked


class ProviderReranker(Protocol):
    spec: RerankerSpec

    async def send(self, query: str, texts: Sequence[str]) -> Reranked:
        """One request. Raises ProviderError."""
        ...
