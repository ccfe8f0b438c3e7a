"""Answers: retrieve, write from what was found, and check each statement's citations against it.

Documents are data: they stand between delimiters with a mark that is drawn for each question, and an answer that
repeats the mark is refused. Without evidence the answer is "Not in this dataset."; where retrieval returned nothing,
no model is asked.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from uuid import UUID

from constants.prompts import ANSWER, NOT_IN_DATASET, marked
from services.cost.budget import Budget, CallContext, Meter
from services.cost.usage import Usage
from services.domain import Chunk, TenantId
from services.errors import ContextTooLong, ProviderBadAnswer, ProviderError
from services.models.chat import ChatAnswer, ChatModel, ChatRequest
from services.models.registry import AUTO, Models
from services.retrieval.citations import Claim, ClaimReader, overlap, support_in
from services.retrieval.extractive_answer import Quote, overview_quotes, quotes
from services.retrieval.hits import Hit
from services.retrieval.query import Query
from services.retrieval.retrieve import Retrieved, Retriever
from services.storage import OpenStorage, UnitOfWork
from services.text.extractive import NAME as EXTRACTIVE
from services.text.grounding import repeats_itself, unsupported
from services.tree.summarize import clean

NOT_FOUND = "Not in this dataset."
# From the question to the last word, including waits for the provider's limits.
LONGEST_S = 300.0
# Characters for each token that an answer may have: a model that writes more has ignored its limit.
CHARACTERS_A_TOKEN = 12
# A citation of a summary shows at most so many of the passages under it, out of so many that are compared.
MOST_SPANS, MOST_PASSAGES = 3, 24
VERBATIM = 0.99  # of a claim's words
# Of a claim, the longest words are looked for where a summary stands over more passages than these.
MOST_TELLING = 8
TELLING = re.compile(r"\w{2,}")


class PassageStorage(UnitOfWork, Protocol):
    """What an answer asks of storage beyond retrieval."""

    async def served_chunks(self, dataset_id: str, chunk_ids: Sequence[UUID]) -> list[Chunk]:
        """Those of the chunks that are served, in no order."""
        ...

    async def chunks_with(
        self, dataset_id: str, chunk_ids: Sequence[UUID], words: Sequence[str], limit: int
    ) -> list[Chunk]:
        """At most `limit` of those of the chunks that are served, first those that have most of the words, which are in
        lower case."""
        ...

    async def place_of(self, chunk_id: UUID, start: int, end: int) -> Place | None:
        """Where characters `start` to `end` of the chunk's version stand; None where it is served no more."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """`llm` is a name of the registry; None: the configured model, by the keys at hand. `budget` bounds the whole."""

    query: Query
    llm: str | None = None
    max_output_tokens: int = 1_024
    budget: Budget = Budget()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text can be found: the document's source, else its file's name; titles above, outermost first; lines from
    1, the last one included."""

    file: str | None
    heading_path: tuple[str, ...]
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Span:
    """`text` is the document's text from `start` to `end`, in characters."""

    doc_id: str
    chunk_id: UUID
    start: int
    end: int
    text: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A number in the answer and the hit that it stands for; None where no source has that number."""

    number: int
    hit: Hit | None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of the answer, from `start` to `end` in it. `mark` says what is wrong with its citations;
    `unsupported` are numbers, names and URLs in it that the cited sources do not have."""

    start: int
    end: int
    text: str
    citations: tuple[Citation, ...]
    mark: Literal["unresolved", "uncited"] | None
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the answer will be written from; hits are numbered from 1. `note` says that the model's name is retired."""

    retrieved: Retrieved
    model: str
    note: str


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    index: int
    statement: Statement


@dataclass(frozen=True, slots=True)
class Answered:
    """`found` is False where the dataset does not answer the question; `truncated` where the model's limit cut it."""

    text: str
    found: bool
    kind: Literal["generated", "extractive"]
    truncated: bool
    statements: tuple[Statement, ...]
    usage: Usage


Event = Evidence | Delta | Cited | Answered
Finish = Literal["stop", "length", "refused"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model was shown: it can cite nothing else."""

    hits: Sequence[Hit]


Part = Shown | Delta | Claim | Finish


class Answerer:
    def __init__(self, retriever: Retriever, models: Models, open_storage: OpenStorage[PassageStorage]) -> None:
        self._retriever = retriever
        self._models = models
        self._open = open_storage

    async def answer(self, tenant: TenantId, question: Question) -> AsyncGenerator[Event, None]:
        """`Evidence`, then `Delta` and `Cited` as they come, then `Answered`. The caller may close early: this
        cancels the paid call. Raises what retrieval raises, UnknownModel, MissingProviderKey, BudgetExceeded,
        ProviderError."""
        query = question.query
        context = CallContext(tenant, query.dataset_id, keys=query.keys, meter=Meter(question.budget))
        resolved = self._models.resolve_chat(self._models.chosen_chat(question.llm or AUTO, context))
        # Before anything is paid.
        model = None if resolved.name == EXTRACTIVE else self._models.chat(resolved.name, context)
        retrieved = await self._retriever.retrieve(tenant, query)
        context.meter.add(retrieved.usage)
        yield Evidence(retrieved, resolved.name, resolved.note)
        text, finish, statements = "", "stop", list[Statement]()
        hits: Sequence[Hit] = retrieved.hits
        if model is None or not hits:
            written = quoted(extractive(query.text, retrieved))
        else:
            written = generated(model, question, hits)
        async with aclosing(written):
            async for part in written:
                if isinstance(part, Shown):
                    hits = part.hits
                elif isinstance(part, str):
                    finish = part
                elif isinstance(part, Delta):
                    text += part.text
                    yield part
                else:
                    statements.append(await self._checked(tenant, query.dataset_id, part, hits))
                    yield Cited(len(statements) - 1, statements[-1])
        if not text:
            yield Delta(NOT_FOUND)
        yield Answered(
            text=text or NOT_FOUND,
            found=bool(text),
            kind="extractive" if model is None else "generated",
            truncated=finish == "length",
            statements=tuple(statements),
            usage=context.meter.used,
        )

    async def _checked(self, tenant: TenantId, dataset_id: str, claim: Claim, hits: Sequence[Hit]) -> Statement:
        citations = []
        for number in claim.numbers:
            hit = hits[number - 1] if 1 <= number <= len(hits) else None
            spans = await self._spans(tenant, dataset_id, claim, hit) if hit is not None else ()
            citations.append(Citation(number, hit, spans))
        cited = [citation.hit.text for citation in citations if citation.hit is not None]
        unresolved = len(cited) < len(citations)
        return Statement(
            start=claim.start,
            end=claim.end,
            text=claim.text,
            citations=tuple(citations),
            mark="unresolved" if unresolved else None if citations else "uncited",
            unsupported=unsupported(claim.text, cited) if cited else (),
        )

    async def _spans(self, tenant: TenantId, dataset_id: str, claim: Claim, hit: Hit) -> tuple[Span, ...]:
        """Where in the documents the claim stands: of a passage the sentences that say it, of a summary those of the
        passages under it that say most of it."""
        async with self._open(tenant) as work:
            if hit.kind == "leaf" and hit.doc_id is not None and hit.start is not None:
                found = [span_of_passage(claim, hit, hit.doc_id, hit.start)]
            else:
                found = spans_of_summary(claim, await passages_under(work, dataset_id, claim, hit))
            places = [await work.place_of(span.chunk_id, span.start, span.end) for span in found]
        return tuple(replace(span, place=place) for span, place in zip(found, places, strict=True))


async def passages_under(work: PassageStorage, dataset_id: str, claim: Claim, hit: Hit) -> list[Chunk]:
    """Of a summary over many passages those that have most of the claim's words."""
    if len(hit.chunk_ids) <= MOST_PASSAGES:
        return await work.served_chunks(dataset_id, hit.chunk_ids)
    told = sorted({word.lower() for word in TELLING.findall(claim.text)}, key=lambda word: (-len(word), word))
    return await work.chunks_with(dataset_id, hit.chunk_ids, told[:MOST_TELLING], MOST_PASSAGES)


def spans_of_summary(claim: Claim, chunks: list[Chunk]) -> list[Span]:
    shares = {chunk.chunk_id: overlap(claim.text, chunk.text) for chunk in chunks}
    chunks.sort(key=lambda chunk: (-shares[chunk.chunk_id], chunk.doc_id, chunk.idx))
    if not chunks:
        return []
    first = shares[chunks[0].chunk_id]
    # What stands in a passage word for word is from there; what a model wrote may be from several.
    most = 1 if first >= VERBATIM else MOST_SPANS
    best = [chunk for chunk in chunks[:most] if shares[chunk.chunk_id] >= 0.5 * first]
    return [span_in(claim.text, one.doc_id, one.chunk_id, one.start, one.text) for one in best]


def span_of_passage(claim: Claim, hit: Hit, doc_id: str, offset: int) -> Span:
    if claim.place is None:
        return span_in(claim.text, doc_id, hit.node_id, offset, hit.text)
    start, end = claim.place
    return Span(doc_id, hit.node_id, offset + start, offset + end, hit.text[start:end])


def span_in(claim: str, doc_id: str, chunk_id: UUID, offset: int, text: str) -> Span:
    """The passage's sentences that support the claim; the whole passage where none shares a word with it."""
    start, end = support_in(claim, text) or (0, len(text))
    return Span(doc_id, chunk_id, offset + start, offset + end, text[start:end])


def extractive(question: str, retrieved: Retrieved) -> list[Quote]:
    hits = retrieved.hits
    if retrieved.mode == "digest":
        return overview_quotes(hits)
    return quotes(question, hits, retrieved.rarity)


async def quoted(quotes: Sequence[Quote]) -> AsyncGenerator[Part, None]:
    """An answer without a model. Its claims are not read from its text: a quotation may hold brackets of its own."""
    position = 0
    for quote in quotes:
        before = " " if position else ""
        text = f"{quote.text} [{quote.source + 1}]"
        yield Delta(before + text)
        position += len(before)
        yield Claim(position, position + len(text), quote.text, (quote.source + 1,), quote.place)
        position += len(text)


async def generated(model: ChatModel, question: Question, hits: Sequence[Hit]) -> AsyncGenerator[Part, None]:
    """Raises ProviderError, BudgetExceeded."""
    deadline = asyncio.get_running_loop().time() + LONGEST_S
    sources = list(hits)
    while True:
        draft = DraftAnswer(secrets.token_hex(6), CHARACTERS_A_TOKEN * question.max_output_tokens)
        request = prompt_of(question, sources, draft.mark)
        yield Shown(sources)
        try:
            async with aclosing(model.stream(request)) as parts:
                while True:
                    async with asyncio.timeout_at(deadline):
                        part = await anext(parts)
                    if isinstance(part, ChatAnswer):
                        break
                    for item in draft.feed(part):
                        yield item
        except TimeoutError:
            raise ProviderError(f"The answer took longer than {LONGEST_S:.0f} seconds.", model=model.model) from None
        except ContextTooLong:
            if draft.text or len(sources) == 1:
                raise
            # Our count of tokens is an estimate: what the model finds too long is asked again with the better half.
            sources = sources[: len(sources) // 2]
        else:
            for item in draft.rest(part.finish_reason):
                yield item
            yield part.finish_reason
            return


def prompt_of(question: Question, hits: Sequence[Hit], mark: str) -> ChatRequest:
    sources = [
        marked("source", mark, number, hit.model_text, clean(" > ".join(hit.heading_path) or hit.title or ""))
        for number, hit in enumerate(hits, 1)
    ]
    return ChatRequest(
        purpose="answer",
        system=ANSWER.system,
        user="\n\n".join(sources) + f"\n\nQuestion: {question.query.text}",
        max_tokens=question.max_output_tokens,
        # What was written from a document is not kept where the document's deletion would not find it.
        reusable=False,
    )


class DraftAnswer:
    """What a model has written so far. Its text is held back while it may still become the sentence for "not found"."""

    def __init__(self, mark: str, most_characters: int) -> None:
        self.mark = mark
        self.text = ""
        self._most = most_characters
        self._out = 0
        self._claims = ClaimReader()

    @property
    def _not_found(self) -> bool:
        return self.text.lstrip(' \n\t*"“.').upper().startswith(NOT_IN_DATASET)

    @property
    def _undecided(self) -> bool:
        return NOT_IN_DATASET.startswith(self.text.lstrip(' \n\t*"“.').upper())

    def feed(self, part: str) -> list[Delta | Claim]:
        """Raises ProviderBadAnswer."""
        self.text += part
        if self.mark in self.text:
            raise ProviderBadAnswer("The model gave out the delimiters of its sources instead of an answer.")
        if len(self.text) > self._most:
            raise ProviderBadAnswer("The model's answer is far longer than it was to be.")
        return [] if self._undecided or self._not_found else self._new()

    def rest(self, finish: Finish) -> list[Delta | Claim]:
        """Raises ProviderBadAnswer for what is no answer."""
        if finish == "refused":
            raise ProviderBadAnswer("The model refused to answer.")
        if not self.text.strip():
            raise ProviderBadAnswer("The model answered nothing.")
        if repeats_itself(self.text):
            raise ProviderBadAnswer("The model's answer repeats itself.")
        return [] if self._not_found else [*self._new(), *self._claims.rest()]

    def _new(self) -> list[Delta | Claim]:
        new = self.text[self._out :]
        self._out = len(self.text)
        return [Delta(new), *self._claims.feed(new)] if new else []
