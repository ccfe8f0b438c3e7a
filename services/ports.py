"""What the flows need from the world: each Protocol names only methods that some flow calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from services.domain import Dataset, EmbeddingSpace, JsonObject, SourceText, TenantId, Usage

FloatArray = npt.NDArray[np.float32]

# `await compute(function, *arguments)` runs a picklable top-level function off the event loop, in the process pool.
Compute = Callable[..., Awaitable[Any]]


class Reader(Protocol):
    """Turns the bytes of a source file into text."""

    def read(self, data: bytes) -> SourceText:
        """Raises InvalidEncoding or EmptyDocument."""
        ...


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`vectors` is (n, dimensions) float32 with rows of length 1, in the order of the texts that were given."""

    vectors: FloatArray
    usage: Usage


class Embedder(Protocol):
    space: EmbeddingSpace

    async def embed(self, documents: Sequence[Sequence[str]], *, kind: Literal["document", "query"]) -> Embeddings:
        """One vector a text, flattened in order. The texts of one inner sequence are neighbours in one document:
        a contextual model reads them together, others do not care. Raises EmbeddingServiceUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a chat model: `system` instructs, `user` holds the data."""

    system: str
    user: str
    max_tokens: int
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    text: str
    finish_reason: Literal["stop", "length", "refused"]
    usage: Usage


class ChatModel(Protocol):
    provider: str
    model: str

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Raises ProviderError."""
        ...


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """A group to be summarised: its texts in reading order, and for each the titles of what it belongs to.

    The texts together are cut to `token_budget`, the summary has at most `max_tokens`.
    """

    texts: tuple[str, ...]
    heading_paths: tuple[tuple[str, ...], ...]
    token_budget: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Summary:
    """`titles` have at most 32 characters, the best first: which one is taken depends on those of the siblings.
    `meta` carries `summary_kind` and whatever a reader should be warned of."""

    titles: tuple[str, ...]
    text: str
    meta: JsonObject
    usage: Usage


class Summarizer(Protocol):
    name: str
    concurrency: int  # how many requests may be under way at once: the limit that a level's floor is reckoned with

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Raises ProviderError."""
        ...


@dataclass(frozen=True, slots=True)
class Refinement:
    """Decisions about numbered spans, never text: which to drop, and before which a chunk begins."""

    drop: tuple[int, ...] = ()
    break_before: tuple[int, ...] = ()
    usage: Usage = Usage()


class Refiner(Protocol):
    name: str

    async def refine(self, spans: Sequence[str]) -> Refinement: ...


class Reranker(Protocol):
    name: str

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A relevance score a text, in the order given. Raises ProviderError."""
        ...


class VectorIndexes(Protocol):
    async def keep(self, tenant: TenantId, dataset: Dataset) -> None:
        """Gives the dataset the index that its size asks for. It may take minutes, and nobody waits for it."""
        ...
