"""What work may cost and did cost: keys that were brought, budgets, and the meter that every paid call passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from uuid import UUID

from constants.models import Price
from services.cost.usage import Usage
from services.domain import TenantId
from services.errors import BudgetExceeded, InvalidRequest


class Keys(Mapping[str, str]):
    """Provider keys that a caller brought, by provider. Printing it shows whose keys they are and never a key."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        self._keys = dict(keys or {})

    def __getitem__(self, provider: str) -> str:
        return self._keys[provider]

    def __iter__(self) -> Any:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Keys({', '.join(sorted(self._keys))})"


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits of one job; None: no limit. Raises InvalidRequest."""

    max_cost: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_cost", "max_tokens", "max_calls"):
            value = getattr(self, name)
            if value is not None and (not math.isfinite(value) or value <= 0):
                raise InvalidRequest(f"`{name}` has to be a number above 0; leave it out for no limit.", field=name)

    def as_json(self) -> dict[str, float]:
        values = {"max_cost": self.max_cost, "max_tokens": self.max_tokens, "max_calls": self.max_calls}
        return {name: value for name, value in values.items() if value is not None}

    def stricter(self, other: Budget) -> Budget:
        """What keeps within both."""
        return Budget(
            least(self.max_cost, other.max_cost),
            least(self.max_tokens, other.max_tokens),
            least(self.max_calls, other.max_calls),
        )


def least(first: Any, second: Any) -> Any:
    given = [value for value in (first, second) if value is not None]
    return min(given) if given else None


@dataclass(slots=True)
class Meter:
    """Counts what an context used, and stops it at its budget. What is under way counts as if it had come in as
    expected, so that a budget is not passed by as many calls as run at once. `before` was used on the same budget by
    the jobs that this one continues."""

    budget: Budget = field(default_factory=Budget)
    used: Usage = field(default_factory=Usage)
    before: Usage = field(default_factory=Usage)
    # How long the provider took for each call, by kind of model.
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    _pending: Usage = field(default_factory=Usage)

    @property
    def spent(self) -> Usage:
        """All that counts against the budget."""
        return self.before + self.used

    def figures(self) -> dict[str, Any]:
        """What was used of the budget, as errors tell it."""
        spent = self.spent
        return {"calls": spent.calls, "tokens": spent.tokens, "cost": round(spent.cost, 6)}

    def check(self, expected: Usage) -> None:
        """Raises BudgetExceeded for what would go over."""
        after = self.spent + self._pending + expected
        limits = self.budget
        for name, limit, value in (
            ("max_cost", limits.max_cost, after.cost),
            ("max_tokens", limits.max_tokens, after.tokens),
            ("max_calls", limits.max_calls, after.calls),
        ):
            if limit is not None and value > limit:
                raise BudgetExceeded(limit=name, value=limit, **self.figures())

    def reserve(self, expected: Usage) -> None:
        """Before a call. Raises BudgetExceeded."""
        self.check(expected)
        self._pending += expected

    def release(self, expected: Usage) -> None:
        self._pending = self._pending - expected

    def add(self, usage: Usage) -> None:
        self.used += usage

    def answered(self, kind: str, seconds: float) -> None:
        self.latencies_s.setdefault(kind, []).append(seconds)

    def latency_s(self, kind: str) -> float | None:
        """The usual time of a call; None if there was none."""
        found = self.latencies_s.get(kind)
        return median(found) if found else None


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a model is called: its price, and the limits that the operator has set for its provider (None: not
    limited by us)."""

    provider: str
    model: str
    price: Price
    concurrency: int
    rpm: int | None = None
    tpm: int | None = None
    min_interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf and with whose keys models are called, and who counts."""

    tenant: TenantId
    dataset_id: str = ""
    job_id: UUID | None = None
    keys: Keys = field(default_factory=Keys)
    meter: Meter = field(default_factory=Meter)
