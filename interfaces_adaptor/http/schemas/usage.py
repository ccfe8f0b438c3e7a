"""Recorded usage in responses."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel

from interfaces_adaptor.http.schemas.envelope import Page
from services.cost.ledger import UsageEntry
from services.cost.usage import Usage


class UsageOut(BaseModel):
    """`cost` in US dollars, at the prices on the day of each call. `cached_tokens` are input tokens that the provider
    billed as cached; `cache_hits` are calls answered from stored results, at no cost."""

    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_hits: int
    cost: float

    @classmethod
    def of(cls, used: Usage) -> UsageOut:
        return cls(**figures(used))


class UsageItem(UsageOut):
    key: str

    @classmethod
    def of_entry(cls, entry: UsageEntry) -> UsageItem:
        return cls(key=entry.key, **figures(entry.used))


class UsagePage(Page[UsageItem]):
    group_by: Literal["day", "dataset", "job", "stage", "model"]
    since: date | None
    until: date | None
    total: UsageOut


def figures(used: Usage) -> dict[str, float]:
    return {
        "calls": used.calls,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cached_tokens": used.cached_tokens,
        "cache_hits": used.cache_hits,
        "cost": round(used.cost, 6),
    }
