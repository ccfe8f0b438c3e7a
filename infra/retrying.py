"""The one retry layer for all calls to providers: what may be tried again, when, and for how long.

The SDKs' own retries are off: two layers multiply, and theirs either ignore `Retry-After` or sleep through it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay

from services.errors import ProviderError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `attempts` of `call_s` each, none begun after `deadline_s`. Pauses are drawn from 0 to a bound that
    doubles from `first_s` to `longest_s` (full jitter: callers that failed together do not come back together). A
    provider that says when to come back is believed up to `longest_wait_s`; beyond that the call fails, and its job
    pauses or ends.
    """

    attempts: int = 5
    call_s: float = 120.0
    deadline_s: float = 300.0
    first_s: float = 0.5
    longest_s: float = 20.0
    longest_wait_s: float = 90.0
    patience_s: float | None = None  # for its turn at the limiter; None: as long as it takes

    def for_a_person(self) -> RetryPolicy:
        """For a request whose caller waits for the answer."""
        return replace(self, attempts=min(3, self.attempts), deadline_s=20.0, longest_wait_s=5.0, patience_s=20.0)

    async def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Raises the last error."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._again),
            wait=self._pause,
            stop=stop_after_attempt(self.attempts) | stop_after_delay(self.deadline_s),
            before_sleep=log_retry,
            reraise=True,
        )
        return await retrying(call)

    def _again(self, error: BaseException) -> bool:
        if not isinstance(error, ProviderError) or not error.retryable:
            return False
        return error.retry_after_s is None or error.retry_after_s <= self.longest_wait_s

    def _pause(self, state: RetryCallState) -> float:
        bound = min(self.longest_s, self.first_s * 2.0 ** (state.attempt_number - 1))
        jitter = random.uniform(0.0, bound)  # noqa: S311 - not a secret
        asked = retry_after_of(state)
        return jitter if asked is None else asked + min(jitter, 1.0)


def retry_after_of(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after_s if isinstance(error, ProviderError) else None


def log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, ProviderError):
        logger.warning(
            "provider call failed, next attempt follows",
            extra={
                "attempt": state.attempt_number,
                "pause_s": round(state.upcoming_sleep, 2),
                "error": error.as_json(),
            },
        )
