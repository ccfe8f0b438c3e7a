"""The ledger's reading side; `infra/paid/results.py` writes it, beside each paid result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from services.cost.ledger import GroupBy, UsageEntry, UsageFilter
from services.cost.usage import Usage

SUMS = """coalesce(sum(calls), 0) as calls, coalesce(sum(input_tokens), 0) as input_tokens,
    coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(cached_tokens), 0) as cached_tokens,
    coalesce(sum(cache_hits), 0) as cache_hits, coalesce(sum(cost), 0) as cost"""
WANTED = """tenant_id = :tenant
    and (cast(:dataset as text) is null or dataset_id = :dataset)
    and (cast(:job as text) is null or job_id = :job)
    and (cast(:since as date) is null or day >= :since)
    and (cast(:until as date) is null or day <= :until)"""
KEYS: dict[GroupBy, str] = {
    "day": "to_char(day, 'YYYY-MM-DD')",
    "dataset": "dataset_id",
    "job": "job_id",
    "stage": "stage",
    "model": "provider || '/' || model",
}


class Ledger(UnitOfWork):
    async def total_usage(self, wanted: UsageFilter) -> Usage:
        row = await self.first(f"select {SUMS} from usage_ledger where {WANTED}", **values_of(wanted))
        assert row is not None
        return usage_from(row)

    async def grouped_usage(
        self, wanted: UsageFilter, by: GroupBy, after: tuple[str] | None, limit: int
    ) -> Sequence[UsageEntry]:
        rows = await self.all(
            f"""
            select {KEYS[by]} as key, {SUMS} from usage_ledger
            where {WANTED} and (cast(:after as text) is null or {KEYS[by]} > :after)
            group by 1 order by 1 limit :limit
            """,
            **values_of(wanted),
            after=after[0] if after else None,
            limit=limit,
        )
        return [UsageEntry(row["key"], usage_from(row)) for row in rows]


def values_of(wanted: UsageFilter) -> dict[str, Any]:
    return {"dataset": wanted.dataset_id, "job": wanted.job_id, "since": wanted.since, "until": wanted.until}


def usage_from(row: RowMapping) -> Usage:
    return Usage(
        calls=int(row["calls"]),
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
        cached_tokens=int(row["cached_tokens"]),
        cache_hits=int(row["cache_hits"]),
        cost=float(row["cost"]),
    )
