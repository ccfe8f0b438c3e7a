"""The built-in embedder: no key, no cost; `services/text/lexical_vectors.py` holds the algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

from infra.embeddings.batching import single_units
from services.compute import Compute
from services.cost.usage import Usage
from services.domain import EmbeddingSpace
from services.models.embedding import Embeddings, EmbeddingUnit, VectorsArrived
from services.text.lexical_vectors import DIMENSIONS, lexical_vectors


class LexicalEmbedder:
    """The `Embedder` that needs nothing. `compute` runs the work elsewhere (a process pool); without it, inline."""

    space = EmbeddingSpace(provider="builtin", model="lexical-1", dimensions=DIMENSIONS)
    max_tokens = 8_192  # it reads any length; this bounds what one text of a request may take
    batch = 256
    concurrency = 1

    def __init__(self, compute: Compute | None = None) -> None:
        self._compute = compute

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        return single_units(self.space, texts)

    async def embed(
        self,
        documents: Sequence[Sequence[str]],
        *,
        kind: Literal["document", "query"],
        arrived: VectorsArrived | None = None,
    ) -> Embeddings:
        """One vector a text, in flattened order. Queries and documents are treated alike, neighbours do not matter."""
        texts = list(chain.from_iterable(documents))
        vectors = lexical_vectors(texts) if self._compute is None else await self._compute(lexical_vectors, texts)
        if arrived is not None:
            await arrived(0, vectors)
        return Embeddings(vectors, Usage())
