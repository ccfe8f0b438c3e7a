"""What work may cost and did cost: keys that were brought, budgets, and the meter that every paid call passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from uuid import UUID

from services.domain import TenantId, Usage
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
    """Counts what an errand used, and stops it at its budget. What is under way counts as if it had come in as
    expected, so that a budget is not passed by as many calls as run at once."""

    budget: Budget = field(default_factory=Budget)
    used: Usage = field(default_factory=Usage)
    # How long the provider took for each call, by kind of model.
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    _pending: Usage = field(default_factory=Usage)

    def reserve(self, expected: Usage) -> None:
        """Raises BudgetExceeded before a call that would go over."""
        after = self.used + self._pending + expected
        tokens = after.input_tokens + after.output_tokens
        limits = self.budget
        for name, limit, value in (
            ("max_cost", limits.max_cost, after.cost),
            ("max_tokens", limits.max_tokens, tokens),
            ("max_calls", limits.max_calls, after.calls),
        ):
            if limit is not None and value > limit:
                raise BudgetExceeded(
                    limit=name,
                    value=limit,
                    calls=self.used.calls,
                    tokens=self.used.input_tokens + self.used.output_tokens,
                    cost=round(self.used.cost, 6),
                )
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
class Errand:
    """On whose behalf and with whose keys models are called, and who counts."""

    tenant: TenantId
    dataset_id: str = ""
    job_id: UUID | None = None
    keys: Keys = field(default_factory=Keys)
    meter: Meter = field(default_factory=Meter)
