"""Models that turn texts into vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from services.arrays import FloatArray
from services.cost.usage import Usage
from services.domain import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`vectors` is (n, dimensions) float32 with rows of length 1, in the order of the texts that were given."""

    vectors: FloatArray
    usage: Usage


VectorsArrived = Callable[[int, FloatArray], Awaitable[None]]
"""Takes the position of the first of some texts in their flattened order, and the vectors from there on."""


@dataclass(frozen=True, slots=True)
class EmbeddingUnit:
    """Neighbours in one document that are embedded together: positions in the document's list, and for each the key
    of everything that shapes its vector. Of a unit whose texts see each other all are sent or none."""

    positions: range
    keys: tuple[bytes, ...]
    together: bool


class Embedder(Protocol):
    space: EmbeddingSpace
    max_tokens: int  # estimated tokens of one text; what is longer is cut
    batch: int  # texts that one request takes
    concurrency: int  # requests at a time

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        """How the consecutive texts of one document are embedded."""
        ...

    async def embed(
        self,
        documents: Sequence[Sequence[str]],
        *,
        kind: Literal["document", "query"],
        arrived: VectorsArrived | None = None,
    ) -> Embeddings:
        """One vector a text, flattened in order. The texts of one inner sequence are neighbours in one document:
        a contextual model reads them together, others do not care. `arrived` is awaited for each request's vectors as
        they come: where a later request fails, only what it was given is kept. Raises EmbeddingServiceUnavailable and
        what `ProviderError` stands above."""
        ...
