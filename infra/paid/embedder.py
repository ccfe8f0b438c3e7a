"""An embedder on somebody's key: requests side by side, each one's vectors handed on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Literal

import numpy as np

from infra.embeddings.provider import ProviderEmbedder
from infra.limiter import Call
from infra.paid.calls import PaidCalls
from services.arrays import FloatArray
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.errors import ContextTooLong, EmbeddingServiceUnavailable, ProviderError
from services.models.embedding import Embeddings, EmbeddingUnit, VectorsArrived
from utils.tokens import estimate_tokens


class PaidEmbedder:
    """Vectors are their own store of paid results: they are kept with the key of what shaped them."""

    def __init__(self, inner: ProviderEmbedder, calls: PaidCalls, context: CallContext) -> None:
        self.space = inner.space
        self.max_tokens = inner.max_tokens
        self.batch = inner.spec.batch
        self.concurrency = inner.spec.concurrency
        self._inner = inner
        self._calls = calls
        self._errand = context

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
            await self._calls.results.put(
                self._errand, None, stage=stage, provider=spec.provider, model=spec.model, output=None, usage=usage
            )
            self._errand.meter.add(usage)

        texts = [text for document in documents for text in document]
        return await self._calls.run("embed", spec, expected, self._errand, texts, ask, book)

    def _expected(self, documents: list[list[str]]) -> Usage:
        tokens = sum(estimate_tokens(text) for document in documents for text in document)
        return Usage(calls=1, input_tokens=tokens, cost=self._inner.spec.price.of(tokens, 0, 0))


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
