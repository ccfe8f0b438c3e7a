"""All models by name, opened for a call context: with its keys, on its budget, in its tenant's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.cost.budget import CallContext, Terms
from services.domain import EmbeddingSpace
from services.models.chat import ChatModel
from services.models.embedding import Embedder, EmbeddingUnit
from services.models.reranking import Reranker
from services.models.summary import Summarizer

# The summariser that the keys at hand allow; without any, the built-in one.
AUTO = "auto"  # the chat model that the keys at hand allow


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a name stands for; `note` says so where the name's own model is retired."""

    name: str
    note: str = ""


class EmbedderTerms(Protocol):
    """An embedder that is asked what it would do, without a key and without a call. `terms` are None for a built-in
    one, which costs nothing."""

    @property
    def terms(self) -> Terms | None: ...

    @property
    def batch(self) -> int:
        """Texts that one request takes."""
        ...

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]: ...

    def calls(self, documents: Sequence[Sequence[str]]) -> int:
        """How many requests one `embed` of these documents takes."""
        ...


class Models(Protocol):
    """Opens models for an context: with its keys, on its budget, in its tenant's books."""

    def resolve_chat(self, name: str) -> ResolvedModel:
        """Raises UnknownModel."""
        ...

    def resolve_embedder(self, name: str) -> ResolvedModel:
        """Whether there is such a one is for `space` to say."""
        ...

    def check(self, name: str, context: CallContext) -> None:
        """Whether the chat model could be called. Raises UnknownModel, MissingProviderKey."""
        ...

    async def space(self, name: str | None, context: CallContext) -> EmbeddingSpace:
        """The space of `provider/model`, or that of new datasets where no name is given. A model of which nothing is
        known is asked for its dimensions, once a process. Raises UnknownModel, MissingProviderKey, ProviderError."""
        ...

    def chosen_chat(self, name: str, context: CallContext) -> str:
        """What `auto` stands for: a chat model, by the keys at hand, else the built-in summariser. Any other name as it
        is."""
        ...

    def default_embedder(self, context: CallContext) -> str:
        """The embedder of a new dataset, likewise."""
        ...

    def check_embedder(self, name: str, context: CallContext) -> None:
        """Whether it could be called. Raises UnknownModel, MissingProviderKey."""
        ...

    def better_embedder(self, space: EmbeddingSpace, context: CallContext) -> str | None:
        """The embedder of a new dataset, where it is a better one than this space's by the registry's order."""
        ...

    def embedder(self, space: EmbeddingSpace, context: CallContext) -> Embedder:
        """Raises UnknownModel, MissingProviderKey."""
        ...

    def chat(self, name: str, context: CallContext) -> ChatModel:
        """Raises UnknownModel, MissingProviderKey."""
        ...

    def summarizer(self, name: str, context: CallContext) -> Summarizer:
        """Raises UnknownModel, MissingProviderKey."""
        ...

    def chat_terms(self, name: str) -> Terms | None:
        """What a summary by this model costs; None for the built-in summariser. No key is needed. Raises
        UnknownModel."""
        ...

    def embedder_terms(self, space: EmbeddingSpace) -> EmbedderTerms:
        """Raises UnknownModel."""
        ...

    def reranker(self, name: str, context: CallContext) -> Reranker:
        """Raises UnknownModel, MissingProviderKey."""
        ...
