"""The part of an embedder that knows its provider; `infra/paid` puts the rest around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from constants.models import EmbedderSpec
from services.arrays import FloatArray
from services.cost.usage import Usage
from services.domain import EmbeddingSpace
from services.models.embedding import EmbeddingUnit


class ProviderEmbedder(Protocol):
    space: EmbeddingSpace
    spec: EmbedderSpec
    max_tokens: int

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]: ...

    def requests(self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]) -> list[list[list[str]]]:
        """The documents cut and grouped into what is sent together; flattened, the texts in their order."""
        ...

    async def send(
        self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]
    ) -> tuple[FloatArray, Usage]:
        """One request. Unit rows in flattened order. Raises ProviderError."""
        ...
