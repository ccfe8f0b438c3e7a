"""What stands around every paid call, from the outside in: the store of paid results, single flight, the budget,
retries, the limiter, the provider. A hit costs no quota; a retry queues again; a budget stops before a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, TypeVar

import numpy as np

from constants.models import ChatSpec, EmbedderSpec, Price, RerankerSpec
from infra.embeddings.provider import ProviderEmbedder
from infra.limiter import Call, Limiter, Limits
from infra.paid_results import PaidResults
from infra.providers.failures import unreachable
from infra.rerankers.provider import ProviderReranker
from infra.retrying import RetryPolicy
from services.cost import Errand
from services.domain import Usage
from services.errors import ContextTooLong, EmbeddingServiceUnavailable, ProviderError
from services.ports import (
    ChatAnswer,
    ChatModel,
    ChatRequest,
    Embeddings,
    EmbeddingUnit,
    FloatArray,
    Reranked,
    VectorsArrived,
)
from utils.hashing import content_key
from utils.tokens import estimate_tokens

Result = TypeVar("Result")


class SingleFlight:
    """Equal calls that are under way at once in this process share one answer."""

    def __init__(self) -> None:
        self._flights: dict[tuple[str, bytes], asyncio.Task[Any]] = {}

    async def run(self, key: tuple[str, bytes], call: Callable[[], Awaitable[Result]]) -> tuple[Result, bool]:
        """The result, and whether it was another's call."""
        while (flight := self._flights.get(key)) is not None:
            # What ends another's call (its budget, its key, its cancelling) is not ours: then we ask ourselves.
            await asyncio.wait([flight])
            if not flight.cancelled() and flight.exception() is None:
                return flight.result(), True
        flight = asyncio.ensure_future(call())
        self._flights[key] = flight
        try:
            return await flight, False
        finally:
            self._flights.pop(key, None)


@dataclass(frozen=True, slots=True)
class Till:
    """What calls on one key go through."""

    results: PaidResults
    limiter: Limiter
    retries: RetryPolicy
    flights: SingleFlight
    limits: Limits
    key: str

    def __repr__(self) -> str:
        return "Till()"

    async def paid(
        self,
        kind: Literal["chat", "embed", "rerank"],
        spec: ChatSpec | EmbedderSpec | RerankerSpec,
        expected: Usage,
        errand: Errand,
        ask: Callable[[Call], Awaitable[Result]],
        book: Callable[[Result], Awaitable[None]],
    ) -> Result:
        """One call within budget and limits, tried again where that can help, and booked before it gives its place to
        the next. Raises BudgetExceeded, ProviderError."""

        # A job waits for its turn; a person does not.
        retries = self.retries if errand.job_id is not None else self.retries.for_a_person()
        tokens = expected.input_tokens + expected.output_tokens

        async def attempt() -> Result:
            async with self.limiter.call(spec.provider, self.key, self.limits, tokens, retries.patience_s) as call:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(retries.call_s):
                        result = await ask(call)
                except TimeoutError:
                    raise unreachable(spec.provider, spec.model, "time is up") from None
                errand.meter.answered(kind, time.monotonic() - began)
                await book(result)
                return result

        errand.meter.reserve(expected)
        try:
            return await retries.run(attempt)
        finally:
            errand.meter.release(expected)


Opened = tuple[AsyncExitStack, Call, str | ChatAnswer, AsyncGenerator[str | ChatAnswer, None]]


class PaidChat:
    def __init__(self, spec: ChatSpec, inner: ChatModel, till: Till, errand: Errand) -> None:
        self.provider, self.model, self.concurrency = spec.provider, spec.model, inner.concurrency
        self._spec = spec
        self._inner = inner
        self._till = till
        self._errand = errand

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        key = chat_key(self._spec, request)
        if request.reusable:
            found = await self._till.results.get(self._errand.tenant, key)
            kept = None if found is None else ChatAnswer(found["text"], found["finish_reason"], Usage())
            # What an earlier release kept may be of no use by today's rules.
            if kept is not None and request.usable(kept):
                return await self._again(request, kept)
        answer, shared = await self._till.flights.run((self._errand.tenant, key), lambda: self._ask(request, key))
        return await self._again(request, answer) if shared else answer

    async def _again(self, request: ChatRequest, answer: ChatAnswer) -> ChatAnswer:
        """An answer that was paid for already."""
        usage = Usage(cache_hits=1)
        await self._till.results.put(
            self._errand,
            None,
            stage=request.purpose,
            provider=self.provider,
            model=self.model,
            output=None,
            usage=usage,
        )
        self._errand.meter.add(usage)
        return ChatAnswer(answer.text, answer.finish_reason, usage)

    async def _ask(self, request: ChatRequest, key: bytes) -> ChatAnswer:
        async def ask(call: Call) -> ChatAnswer:
            answer = await self._inner.complete(request)
            call.tokens = answer.usage.input_tokens + answer.usage.output_tokens
            return answer

        async def book(answer: ChatAnswer) -> None:
            self._errand.meter.add(Usage(cache_misses=1 if request.reusable else 0))
            await self._book(request, answer, key)

        expected = expected_of(self._spec.price, request)
        return await self._till.paid("chat", self._spec, expected, self._errand, ask, book)

    async def _book(self, request: ChatRequest, answer: ChatAnswer, key: bytes | None) -> None:
        await self._till.results.put(
            self._errand,
            key if request.reusable and request.usable(answer) else None,
            stage=request.purpose,
            provider=self.provider,
            model=self.model,
            output={"text": answer.text, "finish_reason": answer.finish_reason},
            usage=answer.usage,
        )
        self._errand.meter.add(answer.usage)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        """Tried again until the first part is out, and not after that; neither shared nor given again."""
        expected = expected_of(self._spec.price, request)
        self._errand.meter.reserve(expected)
        streamed = Streamed()

        async def opened() -> Opened:
            return await self._opened(request, expected, streamed)

        retries = self._till.retries if self._errand.job_id is not None else self._till.retries.for_a_person()
        try:
            stack, call, part, rest = await retries.run(opened)
            async with stack:
                while not isinstance(part, ChatAnswer):
                    streamed.text += part
                    yield part
                    part = await anext(rest)
                call.tokens = part.usage.input_tokens + part.usage.output_tokens
                streamed.owed = False
                await asyncio.shield(self._book(request, part, None))
            yield part
        finally:
            self._errand.meter.release(expected)
            if streamed.owed:
                output = estimate_tokens(streamed.text)
                cost = self._spec.price.of(expected.input_tokens, output, 0)
                usage = Usage(
                    calls=1, input_tokens=expected.input_tokens, output_tokens=output, cost=cost, counted_here=1
                )
                await asyncio.shield(self._book(request, ChatAnswer(streamed.text, "length", usage), None))

    async def _opened(self, request: ChatRequest, expected: Usage, streamed: Streamed) -> Opened:
        """A stream whose first part has come, with what has to be left when it ends: its place in the limiter, the
        connection."""
        tokens = expected.input_tokens + expected.output_tokens
        async with AsyncExitStack() as stack:
            limiter = self._till.limiter
            call = await stack.enter_async_context(
                limiter.call(self.provider, self._till.key, self._till.limits, tokens)
            )
            parts = await stack.enter_async_context(aclosing(self._inner.stream(request)))
            streamed.owed = True
            try:
                first = await anext(parts)
            except ProviderError:
                streamed.owed = False
                raise
            return stack.pop_all(), call, first, parts


@dataclass(slots=True)
class Streamed:
    """What came of an answer so far, and whether it is owed: who hangs up halfway has had, and pays, what came until
    then, and the question in any case; for a refusal nobody pays."""

    text: str = ""
    owed: bool = False


class PaidEmbedder:
    """Vectors are their own store of paid results: they are kept with the key of what shaped them."""

    def __init__(self, inner: ProviderEmbedder, till: Till, errand: Errand) -> None:
        self.space = inner.space
        self.max_tokens = inner.max_tokens
        self.batch = inner.spec.batch
        self.concurrency = inner.spec.concurrency
        self._inner = inner
        self._till = till
        self._errand = errand

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        return self._inner.units(texts)

    async def embed(
        self,
        documents: Sequence[Sequence[str]],
        *,
        kind: Literal["document", "query"],
        arrived: VectorsArrived | None = None,
    ) -> Embeddings:
        requests = self._inner.requests(documents, kind)
        # All or none: a request that goes over the budget would end those beside it, which are paid and then lost.
        self._errand.meter.check(sum((self._expected(request) for request in requests), Usage()))
        slots = asyncio.Semaphore(self._inner.spec.concurrency)
        answers: list[tuple[int, FloatArray, Usage]] = []
        failures: list[Exception] = []

        async def take(first: int, vectors: FloatArray, usage: Usage) -> None:
            answers.append((first, vectors, usage))
            if arrived is not None:
                await arrived(first, vectors)

        async def one(first: int, request: list[list[str]]) -> None:
            async with slots:
                if not failures:
                    try:
                        await self._send(first, request, kind, take)
                    except Exception as error:
                        failures.append(error)

        # What is under way when one fails is paid for: it is waited for and handed over before the failure is told.
        await asyncio.gather(*map(one, firsts(requests), requests))
        if failures:
            raise told_to_jobs(failures[0])
        answers.sort(key=lambda answer: answer[0])
        empty = np.zeros((0, self.space.dimensions), np.float32)
        return Embeddings(
            np.concatenate([vectors for _, vectors, _ in answers]) if answers else empty,
            sum((usage for _, _, usage in answers), Usage()),
        )

    async def _send(
        self,
        first: int,
        documents: list[list[str]],
        kind: Literal["document", "query"],
        take: Callable[[int, FloatArray, Usage], Awaitable[None]],
    ) -> None:
        """`first` is the position of the first text. The answer is one, or those of the parts that it is sent in."""
        try:
            answer = await self._paid(documents, kind)
        except ContextTooLong:
            halves = halved(documents)
            if halves is None:
                raise
            # Our count of tokens is an estimate: what the provider finds too long is sent again in two.
            for half in halves:
                await self._send(first, [half], kind, take)
                first += len(half)
        else:
            await take(first, *answer)

    async def _paid(self, documents: list[list[str]], kind: Literal["document", "query"]) -> tuple[FloatArray, Usage]:
        spec = self._inner.spec
        expected = self._expected(documents)

        async def ask(call: Call) -> tuple[FloatArray, Usage]:
            vectors, usage = await self._inner.send(documents, kind)
            call.tokens = usage.input_tokens
            return vectors, usage

        async def book(answer: tuple[FloatArray, Usage]) -> None:
            stage, usage = "embed" if kind == "document" else "query", answer[1]
            await self._till.results.put(
                self._errand, None, stage=stage, provider=spec.provider, model=spec.model, output=None, usage=usage
            )
            self._errand.meter.add(usage)

        return await self._till.paid("embed", spec, expected, self._errand, ask, book)

    def _expected(self, documents: list[list[str]]) -> Usage:
        tokens = sum(estimate_tokens(text) for document in documents for text in document)
        return Usage(calls=1, input_tokens=tokens, cost=self._inner.spec.price.of(tokens, 0, 0))


class PaidReranker:
    def __init__(self, inner: ProviderReranker, till: Till, errand: Errand) -> None:
        self.name = inner.spec.name
        self._inner = inner
        self._till = till
        self._errand = errand

    async def rerank(self, query: str, texts: Sequence[str]) -> Reranked:
        spec = self._inner.spec
        tokens = sum(map(estimate_tokens, texts)) + len(texts) * estimate_tokens(query)
        expected = Usage(calls=1, input_tokens=tokens, cost=spec.price.of(tokens, 0, 0) + spec.price.search)

        async def ask(call: Call) -> Reranked:
            reranked = await self._inner.send(query, texts)
            call.tokens = reranked.usage.input_tokens
            return reranked

        async def book(reranked: Reranked) -> None:
            await self._till.results.put(
                self._errand,
                None,
                stage="rerank",
                provider=spec.provider,
                model=spec.model,
                output=None,
                usage=reranked.usage,
            )
            self._errand.meter.add(reranked.usage)

        return await self._till.paid("rerank", spec, expected, self._errand, ask, book)


def firsts(requests: Sequence[Sequence[Sequence[str]]]) -> list[int]:
    """The position of each request's first text in the flattened order."""
    sizes = [sum(map(len, request)) for request in requests]
    return [0, *accumulate(sizes)][: len(sizes)]


def told_to_jobs(error: Exception) -> Exception:
    """What no attempt helped against is the service's unavailability, whatever the last attempt met."""
    if not isinstance(error, ProviderError) or not error.retryable:
        return error
    details = {name: value for name, value in error.details.items() if name != "retry_after_s"}
    unavailable = EmbeddingServiceUnavailable(error.message, retry_after_s=error.retry_after_s, **details)
    unavailable.__cause__ = error
    return unavailable


def halved(documents: list[list[str]]) -> list[list[str]] | None:
    """Every document in two; None where no document has two texts any more."""
    if len(documents) > 1:
        return documents
    texts = documents[0]
    return None if len(texts) < 2 else [texts[: len(texts) // 2], texts[len(texts) // 2 :]]


def chat_key(spec: ChatSpec, request: ChatRequest) -> bytes:
    return content_key(
        "chat",
        spec.name,
        dict(spec.body),
        request.system,
        request.user,
        {"max_tokens": request.max_tokens, "temperature": request.temperature, "json": request.json},
    )


def expected_of(price: Price, request: ChatRequest) -> Usage:
    prompt = estimate_tokens(request.system) + estimate_tokens(request.user)
    return Usage(
        calls=1, input_tokens=prompt, output_tokens=request.max_tokens, cost=price.of(prompt, request.max_tokens, 0)
    )
