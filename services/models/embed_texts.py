"""Embeddings for others: texts of a caller's own in the space that datasets use, so that its vectors can be compared
with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.arrays import FloatArray
from services.cost.budget import CallContext, Keys
from services.cost.usage import Usage
from services.domain import EmbeddingSpace, TenantId
from services.errors import InvalidRequest
from services.models.registry import Models
from utils.tokens import estimate_tokens, truncate_to_tokens


@dataclass(frozen=True, slots=True)
class Texts:
    """`model` and `dimensions` are None for those of the configured embedder."""

    texts: Sequence[str]
    model: str | None = None
    dimensions: int | None = None
    kind: Literal["document", "query"] = "document"
    keys: Keys = field(default_factory=Keys)


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """Unit rows in the order of the texts; `truncated` of them were longer than the model reads. `tokens` are the
    provider's count, or our estimate where it has none. `warnings` say so where the model that was named is retired."""

    vectors: FloatArray
    space: EmbeddingSpace
    truncated: int
    tokens: int
    usage: Usage
    warnings: tuple[str, ...] = ()


class TextEmbedder:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def embed(self, tenant: TenantId, wanted: Texts) -> EmbeddedTexts:
        """Raises InvalidRequest, UnknownModel, MissingProviderKey, EmbeddingServiceUnavailable."""
        context = CallContext(tenant, keys=wanted.keys)
        note = self._models.resolve_embedder(wanted.model).note if wanted.model else ""
        space = await self._models.space(wanted.model or None, context)
        if wanted.dimensions not in (None, space.dimensions):
            raise InvalidRequest(
                f"{space.name} gives vectors of {space.dimensions} dimensions here: leave `dimensions` out, or ask for"
                " that many.",
                field="dimensions",
            )
        embedder = self._models.embedder(space, context)
        texts = [truncate_to_tokens(text, embedder.max_tokens) for text in wanted.texts]
        # Texts of a request are no neighbours: each is a document by itself.
        found = await embedder.embed([[text] for text in texts], kind=wanted.kind)
        return EmbeddedTexts(
            vectors=found.vectors,
            space=space,
            truncated=sum(len(text) < len(given) for text, given in zip(texts, wanted.texts, strict=True)),
            tokens=found.usage.input_tokens or sum(map(estimate_tokens, texts)),
            usage=found.usage,
            warnings=(note,) if note else (),
        )
