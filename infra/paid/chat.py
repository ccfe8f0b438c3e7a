"""A chat model on somebody's key: what was paid for is found again, what is asked for is booked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from constants.models import ChatSpec, Price
from infra.limiter import Call
from infra.paid.calls import PaidCalls
from infra.providers.failures import without_quotes
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.errors import ProviderError
from services.models.chat import ChatAnswer, ChatModel, ChatRequest
from utils.hashing import content_key
from utils.tokens import estimate_tokens

Opened = tuple[AsyncExitStack, Call, str | ChatAnswer, AsyncGenerator[str | ChatAnswer, None]]


class PaidChat:
    def __init__(self, spec: ChatSpec, inner: ChatModel, calls: PaidCalls, context: CallContext) -> None:
        self.provider, self.model, self.concurrency = spec.provider, spec.model, inner.concurrency
        self._spec = spec
        self._inner = inner
        self._calls = calls
        self._errand = context

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        key = chat_key(self._spec, request)
        if request.reusable:
            found = await self._calls.results.get(self._errand.tenant, key)
            kept = None if found is None else ChatAnswer(found["text"], found["finish_reason"], Usage())
            # What an earlier release kept may be of no use by today's rules.
            if kept is not None and request.usable(kept):
                return await self._again(request, kept, key)
        answer, shared = await self._calls.flights.run((self._errand.tenant, key), lambda: self._ask(request, key))
        return await self._again(request, answer, key) if shared else answer

    async def _again(self, request: ChatRequest, answer: ChatAnswer, key: bytes) -> ChatAnswer:
        """An answer that was paid for already: now it is of this request's documents too."""
        usage = Usage(cache_hits=1)
        await self._calls.results.put(
            self._errand,
            key if request.reusable else None,
            stage=request.purpose,
            provider=self.provider,
            model=self.model,
            output=None,
            usage=usage,
            sources=request.sources,
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
        return await self._calls.run("chat", self._spec, expected, self._errand, (request.user,), ask, book)

    async def _book(self, request: ChatRequest, answer: ChatAnswer, key: bytes | None) -> None:
        await self._calls.results.put(
            self._errand,
            key if request.reusable and request.usable(answer) else None,
            stage=request.purpose,
            provider=self.provider,
            model=self.model,
            output={"text": answer.text, "finish_reason": answer.finish_reason},
            usage=answer.usage,
            sources=request.sources,
        )
        self._errand.meter.add(answer.usage)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        """Tried again until the first part is out, and not after that; neither shared nor given again."""
        expected = expected_of(self._spec.price, request)
        self._errand.meter.reserve(expected)
        streamed = Streamed()

        async def opened() -> Opened:
            return await self._opened(request, expected, streamed)

        retries = self._calls.retries if self._errand.job_id is not None else self._calls.retries.for_a_person()
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
            limiter = self._calls.limiter
            call = await stack.enter_async_context(
                limiter.call(self.provider, self._calls.key, self._calls.limits, tokens)
            )
            parts = await stack.enter_async_context(aclosing(self._inner.stream(request)))
            streamed.owed = True
            try:
                first = await anext(parts)
            except ProviderError as error:
                streamed.owed = False
                raise without_quotes(error, (request.user,)) from None
            return stack.pop_all(), call, first, parts


@dataclass(slots=True)
class Streamed:
    """What came of an answer so far, and whether it is owed: who hangs up halfway has had, and pays, what came until
    then, and the question in any case; for a refusal nobody pays."""

    text: str = ""
    owed: bool = False


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
