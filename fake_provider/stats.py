"""What was asked and what was answered: the counts that tests and bills are held against."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from fake_provider.calls import ReceivedCall

_CALLS_KEPT = 10_000


@dataclass(slots=True)
class CallRecord:
    """One call. `status` is None until it is decided, and for good where no answer was given."""

    number: int
    path: str
    endpoint: str
    key: str  # its fingerprint
    model: str
    texts: int
    prompt: str  # digest of the request without the marks of its delimiters
    repeated: bool
    status: int | None = None
    fault: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class CallStats:
    def __init__(self) -> None:
        self._in_flight = 0
        self.clear()

    def clear(self) -> None:
        """All but the calls that are under way."""
        self._calls = self._repeated = 0
        self._most_in_flight = self._in_flight
        self._by_endpoint: Counter[str] = Counter()
        self._by_key: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._by_fault: Counter[str] = Counter()
        self._prompt_tokens = self._completion_tokens = 0
        self._answered: set[str] = set()
        self._records: deque[CallRecord] = deque(maxlen=_CALLS_KEPT)

    def begin(self, call: ReceivedCall) -> CallRecord:
        repeated = call.digest in self._answered
        self._calls += 1
        self._repeated += repeated
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        self._by_endpoint[call.path] += 1
        self._by_key[call.fingerprint] += 1
        record = CallRecord(
            self._calls, call.path, call.endpoint, call.fingerprint, call.model, len(call.texts), call.digest, repeated
        )
        self._records.append(record)
        return record

    def decided(self, record: CallRecord, call: ReceivedCall, *, usable: bool) -> None:
        """The provider has done its work: from here on it is paid for, whether or not the answer arrives. A `usable`
        answer makes the next call with the same body a repetition."""
        self._prompt_tokens += record.prompt_tokens
        self._completion_tokens += record.completion_tokens
        self._by_status[str(record.status or "none")] += 1
        if record.fault is not None:
            self._by_fault[record.fault] += 1
        if usable:
            self._answered.add(call.digest)

    def end(self) -> None:
        self._in_flight -= 1

    def as_json(self) -> dict[str, Any]:
        return {"calls": self._calls, "by_endpoint": dict(self._by_endpoint), "by_key": dict(self._by_key)}

    def totals(self) -> dict[str, Any]:
        """All that is counted."""
        prompt, completion = self._prompt_tokens, self._completion_tokens
        return {
            **self.as_json(),
            "by_status": dict(self._by_status),
            "by_fault": dict(self._by_fault),
            "repeated": self._repeated,
            "in_flight": self._in_flight,
            "max_in_flight": self._most_in_flight,
            "tokens": {"prompt": prompt, "completion": completion, "total": prompt + completion},
        }

    def latest(self, limit: int) -> list[CallRecord]:
        """The most recent first."""
        return list(self._records)[: -limit - 1 : -1]
