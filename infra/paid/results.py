"""The store of results that were paid for, and the ledger of what they cost.

A result is addressed by everything that shaped it, with the tenant in the address: what one tenant paid for is neither
shown nor given to another. It is written the moment it arrives, together with its line in the ledger, in a transaction
of its own: a crash after that never pays it again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.uow.unit_of_work import short_transaction
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.domain import TenantId

PUT = text(
    """
    insert into model_calls (tenant_id, key, kind, provider, model, output, usage, size)
    values (:tenant, :key, :kind, :provider, :model, cast(cast(:output as text) as jsonb), cast(:usage as jsonb),
        octet_length(cast(:output as text)))
    on conflict (tenant_id, key) do update set output = excluded.output, usage = excluded.usage, size = excluded.size
    """
)
GET = text(
    """
    update model_calls set last_used_at = case when last_used_at < now() - interval '1 hour' then now()
        else last_used_at end
    where tenant_id = :tenant and key = :key returning output
    """
).columns(output=JSONB)
RECORD = text(
    """
    insert into usage_ledger (tenant_id, day, dataset_id, job_id, stage, provider, model, calls, input_tokens,
        output_tokens, cached_tokens, cache_hits, cost)
    values (:tenant, (now() at time zone 'utc')::date, :dataset, :job, :stage, :provider, :model, :calls,
        :input_tokens, :output_tokens, :cached_tokens, :cache_hits, :cost)
    on conflict (tenant_id, day, dataset_id, job_id, stage, provider, model) do update set
        calls = usage_ledger.calls + excluded.calls,
        input_tokens = usage_ledger.input_tokens + excluded.input_tokens,
        output_tokens = usage_ledger.output_tokens + excluded.output_tokens,
        cached_tokens = usage_ledger.cached_tokens + excluded.cached_tokens,
        cache_hits = usage_ledger.cache_hits + excluded.cache_hits,
        cost = usage_ledger.cost + excluded.cost
    """
)
# What is used least recently goes first, once the tenant's results are older or larger than allowed.
PURGE = text(
    """
    with kept as (
        select key, sum(size) over (order by last_used_at desc, key) as total, last_used_at
        from model_calls where tenant_id = :tenant
    )
    delete from model_calls m using kept
    where m.tenant_id = :tenant and m.key = kept.key
        and (kept.last_used_at < now() - make_interval(days => :days) or kept.total > :most_bytes)
    """
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long unused results are kept, and how many bytes of them a tenant may have."""

    days: int = 90
    most_bytes: int = 5 * 1024**3


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What waits to be written; `written` is done when it is."""

    result: Mapping[str, Any] | None
    line: Mapping[str, Any]
    written: asyncio.Future[None]


class PaidResults:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: list[Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def get(self, tenant: TenantId, key: bytes) -> Mapping[str, Any] | None:
        async with short_transaction(self._engine) as connection:
            found: Mapping[str, Any] | None = await connection.scalar(GET, {"tenant": tenant, "key": key})
        return found

    async def put(
        self,
        context: CallContext,
        key: bytes | None,
        *,
        stage: str,
        provider: str,
        model: str,
        output: Any,
        usage: Usage,
    ) -> None:
        """The result, unless `key` is None because it is not one to give again, and what it cost in any case.

        Results that arrive while others are written share the next transaction: those of one build add to the same
        line of the ledger, and in transactions of their own each would wait for the disk writes of all before it.
        """
        result = None
        if key is not None:
            result = {
                "tenant": context.tenant,
                "key": key,
                "kind": stage,
                "provider": provider,
                "model": model,
                "output": json.dumps(output, ensure_ascii=False),
                "usage": json.dumps(
                    {
                        "input_tokens": usage.input_tokens,
                        "output_tokens": usage.output_tokens,
                        "counted_here": usage.counted_here,
                    }
                ),
            }
        line = ledger_line(context, stage, provider, model, usage)
        entry = Entry(result, line, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await entry.written

    async def _write(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            try:
                async with short_transaction(self._engine) as connection:
                    if results := [entry.result for entry in entries if entry.result is not None]:
                        await connection.execute(PUT, results)
                    await connection.execute(RECORD, [entry.line for entry in entries])
            except Exception as error:  # whatever it is, it is theirs who wait
                for entry in entries:
                    if not entry.written.done():
                        entry.written.set_exception(error)
            else:
                for entry in entries:
                    if not entry.written.done():
                        entry.written.set_result(None)

    async def purge_all(self, retention: Retention) -> int:
        """Removes what every tenant has beyond the retention; how many results those were."""
        async with short_transaction(self._engine) as connection:
            tenants = (await connection.scalars(text("select tenant_id from tenants order by 1"))).all()
        return sum([await self.purge(TenantId(tenant), retention) for tenant in tenants])

    async def purge(self, tenant: TenantId, retention: Retention) -> int:
        async with short_transaction(self._engine) as connection:
            values = {"tenant": tenant, "days": retention.days, "most_bytes": retention.most_bytes}
            return (await connection.execute(PURGE, values)).rowcount


def ledger_line(context: CallContext, stage: str, provider: str, model: str, usage: Usage) -> dict[str, Any]:
    return {
        "tenant": context.tenant,
        "dataset": context.dataset_id,
        "job": context.job_id.hex if context.job_id is not None else "",
        "stage": stage,
        "provider": provider,
        "model": model,
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_hits": usage.cache_hits,
        "cost": usage.cost,
    }
