"""The ledger's reading side; `infra/paid/results.py` writes it, beside each paid result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import RowMapping

from infra.db.schema import usage_ledger
from infra.uow.unit_of_work import UnitOfWork
from services.cost.ledger import GroupBy, UsageEntry, UsageFilter
from services.cost.usage import Usage

COUNTED = ("calls", "input_tokens", "output_tokens", "cached_tokens", "cache_hits", "cost")
SUMS = tuple(func.coalesce(func.sum(usage_ledger.c[name]), 0).label(name) for name in COUNTED)
KEYS: dict[GroupBy, ColumnElement[Any]] = {
    "day": func.to_char(usage_ledger.c.day, "YYYY-MM-DD"),
    "dataset": usage_ledger.c.dataset_id,
    "job": usage_ledger.c.job_id,
    "stage": usage_ledger.c.stage,
    "model": usage_ledger.c.provider + "/" + usage_ledger.c.model,
}


class Ledger(UnitOfWork):
    async def total_usage(self, wanted: UsageFilter) -> Usage:
        row = await self.first(select(*SUMS).where(self.own(usage_ledger), *conditions(wanted)))
        assert row is not None
        return usage_from(row)

    async def grouped_usage(
        self, wanted: UsageFilter, by: GroupBy, after: tuple[str] | None, limit: int
    ) -> Sequence[UsageEntry]:
        key = KEYS[by].label("key")
        statement = select(key, *SUMS).where(self.own(usage_ledger), *conditions(wanted)).group_by(key).order_by(key)
        if after is not None:
            statement = statement.where(KEYS[by] > after[0])
        rows = await self.all(statement.limit(limit))
        return [UsageEntry(row["key"], usage_from(row)) for row in rows]


def conditions(wanted: UsageFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.dataset_id is not None:
        yield usage_ledger.c.dataset_id == wanted.dataset_id
    if wanted.job_id is not None:
        yield usage_ledger.c.job_id == wanted.job_id
    if wanted.since is not None:
        yield usage_ledger.c.day >= wanted.since
    if wanted.until is not None:
        yield usage_ledger.c.day <= wanted.until


def usage_from(row: RowMapping) -> Usage:
    return Usage(
        **{name: int(row[name]) for name in COUNTED if name != "cost"},
        cost=float(row["cost"]),
    )
