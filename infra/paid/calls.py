"""What every paid call goes through: single flight, budget, retries, limiter, ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from constants.models import ChatSpec, EmbedderSpec, RerankerSpec
from infra.limiter import Call, Limiter, Limits
from infra.paid.results import PaidResults
from infra.providers.failures import unreachable, without_quotes
from infra.retrying import RetryPolicy
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.errors import ProviderError

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
class PaidCalls:
    """What calls on one key go through."""

    results: PaidResults
    limiter: Limiter
    retries: RetryPolicy
    flights: SingleFlight
    limits: Limits
    key: str

    def __repr__(self) -> str:
        return "PaidCalls()"

    async def run(
        self,
        kind: Literal["chat", "embed", "rerank"],
        spec: ChatSpec | EmbedderSpec | RerankerSpec,
        expected: Usage,
        context: CallContext,
        sent: Sequence[str],
        ask: Callable[[Call], Awaitable[Result]],
        book: Callable[[Result], Awaitable[None]],
    ) -> Result:
        """One call within budget and limits, tried again where that can help, and booked before it gives its place to
        the next. `sent` are the texts in it. Raises BudgetExceeded, ProviderError."""

        # A job waits for its turn; a person does not.
        retries = self.retries if context.job_id is not None else self.retries.for_a_person()
        tokens = expected.input_tokens + expected.output_tokens

        async def attempt() -> Result:
            async with self.limiter.call(spec.provider, self.key, self.limits, tokens, retries.patience_s) as call:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(retries.call_s):
                        result = await ask(call)
                except TimeoutError:
                    raise unreachable(spec.provider, spec.model, "time is up") from None
                except ProviderError as error:
                    raise without_quotes(error, sent) from None
                context.meter.answered(kind, time.monotonic() - began)
                await book(result)
                return result

        context.meter.reserve(expected)
        try:
            return await retries.run(attempt)
        finally:
            context.meter.release(expected)
