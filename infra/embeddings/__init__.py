"""Embedders by provider. A new one is a file beside this and a line here; `tests/contracts` runs over all."""

from __future__ import annotations

from collections.abc import Callable

from infra.embeddings.lexical import LexicalEmbedder
from services.domain import EmbeddingSpace
from services.errors import UnknownModel
from services.ports import Compute, Embedder

EMBEDDERS: dict[str, Callable[[Compute | None], Embedder]] = {
    "builtin": LexicalEmbedder,
}


def open_embedder(space: EmbeddingSpace, compute: Compute | None = None) -> Embedder:
    """The embedder of a space; without `compute` it works in the calling thread. Raises UnknownModel."""
    factory = EMBEDDERS.get(space.provider)
    embedder = factory(compute) if factory is not None else None
    if embedder is None or embedder.space != space:
        raise UnknownModel(f"There is no embedder {space.name!r}.", known=sorted(EMBEDDERS))
    return embedder


def space_named(name: str) -> EmbeddingSpace:
    """The space of `provider/model`. Raises UnknownModel."""
    provider, _, model = name.partition("/")
    factory = EMBEDDERS.get(provider)
    space = factory(None).space if factory is not None else None
    if space is None or space.model != model:
        raise UnknownModel(f"There is no embedder {name!r}.", known=sorted(EMBEDDERS))
    return space
