"""What the flows need from the world: each Protocol names only methods that some flow calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from services.cost import Errand, Terms
from services.domain import Dataset, EmbeddingSpace, JsonObject, SourceText, TenantId, Usage

FloatArray = npt.NDArray[np.float32]

# `await compute(function, *arguments)` runs a picklable top-level function off the event loop, in the process pool.
Compute = Callable[..., Awaitable[Any]]


class Reader(Protocol):
    """Turns the bytes of a source file into text."""

    def read(self, data: bytes) -> SourceText:
        """Raises InvalidEncoding or EmptyDocument."""
        ...


# Embedding.


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


# Chat.


def finished(answer: ChatAnswer) -> bool:
    """What broke off or was refused may come out well the next time."""
    return answer.finish_reason == "stop" and bool(answer.text.strip())


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a chat model: `system` instructs, `user` holds the data. `purpose` names the kind of work in the
    ledger; an answer that was paid for is found again unless it is not `reusable`. Only one that is `usable` for who
    asks is kept: what is of no use is paid, and asked for again the next time."""

    purpose: str
    system: str
    user: str
    max_tokens: int
    temperature: float = 0.0
    json: bool = False
    reusable: bool = True
    usable: Callable[[ChatAnswer], bool] = finished


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    text: str
    finish_reason: Literal["stop", "length", "refused"]
    usage: Usage


class ChatModel(Protocol):
    provider: str
    model: str
    concurrency: int

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Raises ProviderError, BudgetExceeded."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        """The answer's text as it comes, and at the end the whole of it; never from the store of paid results, and not
        kept there. Who closes it earlier ends the call. Raises ProviderError, BudgetExceeded."""
        ...


# Summaries.


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
        """Raises ProviderError, BudgetExceeded."""
        ...


# Reranking.


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


# All models, by name.


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
    """Opens models for an errand: with its keys, on its budget, in its tenant's books."""

    def resolve_chat(self, name: str) -> ResolvedModel:
        """Raises UnknownModel."""
        ...

    def resolve_embedder(self, name: str) -> ResolvedModel:
        """Whether there is such a one is for `space` to say."""
        ...

    def check(self, name: str, errand: Errand) -> None:
        """Whether the chat model could be called. Raises UnknownModel, MissingProviderKey."""
        ...

    async def space(self, name: str | None, errand: Errand) -> EmbeddingSpace:
        """The space of `provider/model`, or that of new datasets where no name is given. A model of which nothing is
        known is asked for its dimensions, once a process. Raises UnknownModel, MissingProviderKey, ProviderError."""
        ...

    def default_chat(self, errand: Errand) -> str:
        """The chat model that is used where none is named: by the keys at hand, else the built-in summariser."""
        ...

    def default_embedder(self, errand: Errand) -> str:
        """The embedder of a new dataset, likewise."""
        ...

    def embedder(self, space: EmbeddingSpace, errand: Errand) -> Embedder:
        """Raises UnknownModel, MissingProviderKey."""
        ...

    def chat(self, name: str, errand: Errand) -> ChatModel:
        """Raises UnknownModel, MissingProviderKey."""
        ...

    def summarizer(self, name: str, errand: Errand) -> Summarizer:
        """Raises UnknownModel, MissingProviderKey."""
        ...

    def chat_terms(self, name: str) -> Terms | None:
        """What a summary by this model costs; None for the built-in summariser. No key is needed. Raises
        UnknownModel."""
        ...

    def embedder_terms(self, space: EmbeddingSpace) -> EmbedderTerms:
        """Raises UnknownModel."""
        ...

    def reranker(self, name: str, errand: Errand) -> Reranker:
        """Raises UnknownModel, MissingProviderKey."""
        ...


class SecretBox(Protocol):
    """Encrypts keys for as long as they have to be stored."""

    def seal(self, secret: str, job_id: str) -> bytes: ...

    def open(self, sealed: bytes, job_id: str) -> str:
        """Raises MissingProviderKey for what this service's own key does not open."""
        ...


class VectorIndexes(Protocol):
    async def keep(self, tenant: TenantId, dataset: Dataset) -> None:
        """Gives the dataset the index that its size asks for. It may take minutes, and nobody waits for it."""
        ...
