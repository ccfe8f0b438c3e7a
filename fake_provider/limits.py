"""Requests and tokens a minute, and calls at a time, for each key: a sliding window and the headers that tell of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from fake_provider.refusals import Refusal


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """None is no limit. `window_s` is how long a minute takes; tests have shorter ones."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    window_s: float = 60.0


@dataclass(slots=True)
class _Spent:
    at: float
    requests: int
    tokens: int


@dataclass(slots=True)
class _Window:
    spent: deque[_Spent] = field(default_factory=deque)
    in_flight: int = 0

    def forget(self, before: float) -> None:
        while self.spent and self.spent[0].at <= before:
            self.spent.popleft()

    @property
    def requests(self) -> int:
        return sum(entry.requests for entry in self.spent)

    @property
    def tokens(self) -> int:
        return sum(entry.tokens for entry in self.spent)


class RateLimiter:
    """Each bucket has a window of its own. A refused call costs nothing; tokens that a model wrote are added when they
    are known, so that they can carry a window over its limit. `now` is in seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, _Window] = {}

    def admit(self, bucket: Hashable, limits: KeyLimits, tokens: int, now: float) -> None:
        """Raises Refusal: 429 with Retry-After, or without where the call alone is above the limit."""
        window = self._windows.setdefault(bucket, _Window())
        window.forget(now - limits.window_s)
        if limits.tpm is not None and tokens > limits.tpm:
            message = f"Request too large: limit {limits.tpm} tokens per minute, requested {tokens}."
            raise Refusal(429, message, headers=self.headers(bucket, limits, now))
        wait = _seconds_until_free(window, limits, tokens, now)
        if wait > 0:
            headers = {"Retry-After": str(math.ceil(wait)), **self.headers(bucket, limits, now)}
            raise Refusal(429, f"Rate limit reached; try again in {wait:.3f} s.", headers=headers)
        window.spent.append(_Spent(now, 1, tokens))
        window.in_flight += 1

    def release(self, bucket: Hashable, written_tokens: int, now: float) -> None:
        """The admitted call has ended."""
        window = self._windows.get(bucket)
        if window is None:
            return  # forgotten while the call was under way
        window.in_flight -= 1
        if written_tokens:
            window.spent.append(_Spent(now, 0, written_tokens))

    def headers(self, bucket: Hashable, limits: KeyLimits, now: float) -> dict[str, str]:
        """OpenAI's headers, for the limits that there are."""
        window = self._windows.get(bucket, _Window())
        reset = f"{max(0.0, window.spent[-1].at + limits.window_s - now):.3f}s" if window.spent else "0s"
        headers = {}
        for name, limit, used in (("requests", limits.rpm, window.requests), ("tokens", limits.tpm, window.tokens)):
            if limit is not None:
                headers[f"x-ratelimit-limit-{name}"] = str(limit)
                headers[f"x-ratelimit-remaining-{name}"] = str(max(0, limit - used))
                headers[f"x-ratelimit-reset-{name}"] = reset
        return headers

    def clear(self) -> None:
        self._windows.clear()


def _seconds_until_free(window: _Window, limits: KeyLimits, tokens: int, now: float) -> float:
    """0 where the call may begin. For calls at a time nobody knows: 1 second."""
    if limits.concurrency is not None and window.in_flight >= limits.concurrency:
        return 1.0
    requests, spent = window.requests, window.tokens
    leaving = iter(window.spent)
    until = now
    while (limits.rpm is not None and requests >= limits.rpm) or (
        limits.tpm is not None and spent + tokens > limits.tpm
    ):
        entry = next(leaving)
        requests -= entry.requests
        spent -= entry.tokens
        until = entry.at + limits.window_s
    return until - now
