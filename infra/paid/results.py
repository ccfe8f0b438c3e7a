"""The store of results that were paid for, and the ledger of what they cost.

A result is addressed by everything that shaped it, with the tenant in the address: what one tenant paid for is neither
shown nor given to another. It is written the moment it arrives, together with its line in the ledger, in a transaction
of its own: a crash after that never pays it again.

With a result is kept whose text it was written from, so that erasing a document erases it (`model_call_sources`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
# Against an erasure, which takes the rows of datasets first and for itself, then those of results in this order: who
# comes after it sees in the next statement what is gone, who comes before it is waited for.
HOLD_DATASETS = text(
    """
    select from datasets where (tenant_id, dataset_id) in (
        select * from unnest(cast(:tenants as text[]), cast(:datasets as text[]))
    ) order by tenant_id, dataset_id for key share
    """
)
HOLD_RESULTS = text(
    """
    select from model_calls where (tenant_id, key) in (
        select * from unnest(cast(:tenants as text[]), cast(:keys as bytea[]))
    ) order by tenant_id, key for key share
    """
)
THERE = text(
    """
    select tenant_id, version_id, dataset_id, doc_id from document_versions where (tenant_id, version_id) in (
        select * from unnest(cast(:tenants as text[]), cast(:versions as uuid[]))
    )
    """
)
ADD_SOURCES = text(
    """
    insert into model_call_sources (tenant_id, key, dataset_id, doc_id)
    select s.* from unnest(cast(:tenants as text[]), cast(:keys as bytea[]), cast(:datasets as text[]),
        cast(:documents as text[])) as s (tenant_id, key, dataset_id, doc_id)
    join model_calls m on m.tenant_id = s.tenant_id and m.key = s.key
    order by 1, 2, 3, 4
    on conflict do nothing
    """
)
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
    """What waits to be written; `written` is done when it is. `sources` are of what is kept, now or already, under
    `key`; `result` is None where nothing is to be kept now."""

    result: Mapping[str, Any] | None
    line: Mapping[str, Any]
    key: bytes | None
    sources: frozenset[tuple[TenantId, UUID]]
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
        sources: Collection[UUID] = (),
    ) -> None:
        """The result, unless `key` is None because it is not one to give again, and what it cost in any case. Without
        an `output` it is one that is kept already. `sources` are the versions of documents that it was written from: if
        one of them is gone when it arrives, it is not kept.

        Results that arrive while others are written share the next transaction: those of one build add to the same
        line of the ledger, and in transactions of their own each would wait for the disk writes of all before it.
        """
        result = None
        if key is not None and output is not None:
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
        versions = frozenset((context.tenant, version) for version in sources) if key is not None else frozenset()
        entry = Entry(result, line, key, versions, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await entry.written

    async def _write(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            try:
                async with short_transaction(self._engine) as connection:
                    await self._keep(connection, entries)
                    # In one order, since two processes add to the same lines for callers who have no job.
                    await connection.execute(RECORD, sorted((entry.line for entry in entries), key=place_of))
            except Exception as error:  # whatever it is, it is theirs who wait
                for entry in entries:
                    if not entry.written.done():
                        entry.written.set_exception(error)
            else:
                for entry in entries:
                    if not entry.written.done():
                        entry.written.set_result(None)

    async def _keep(self, connection: AsyncConnection, entries: Sequence[Entry]) -> None:
        """The results whose documents are still there, and which those are."""
        there = await documents_of(connection, entries)
        kept = [entry for entry in entries if entry.key is not None and entry.sources <= there.keys()]
        results = [entry.result for entry in kept if entry.result is not None]
        if results:
            await connection.execute(PUT, sorted(results, key=lambda result: (result["tenant"], result["key"])))
        rows = {(entry.line["tenant"], entry.key, *there[source]) for entry in kept for source in entry.sources}
        if rows:
            columns = zip(*rows, strict=True)
            names = ("tenants", "keys", "datasets", "documents")
            await connection.execute(ADD_SOURCES, dict(zip(names, map(list, columns), strict=True)))

    async def purge_all(self, retention: Retention) -> int:
        """Removes what every tenant has beyond the retention; how many results those were."""
        async with short_transaction(self._engine) as connection:
            tenants = (await connection.scalars(text("select tenant_id from tenants order by 1"))).all()
        return sum([await self.purge(TenantId(tenant), retention) for tenant in tenants])

    async def purge(self, tenant: TenantId, retention: Retention) -> int:
        async with short_transaction(self._engine) as connection:
            values = {"tenant": tenant, "days": retention.days, "most_bytes": retention.most_bytes}
            return (await connection.execute(PURGE, values)).rowcount


async def documents_of(
    connection: AsyncConnection, entries: Sequence[Entry]
) -> Mapping[tuple[TenantId, UUID], tuple[str, str]]:
    """Dataset and document of the versions that are there, by tenant and version; they stay until the transaction
    ends."""
    sourced = [entry for entry in entries if entry.sources]
    if not sourced:
        return {}
    lines = [entry.line for entry in sourced]
    tenants = [line["tenant"] for line in lines]
    await connection.execute(HOLD_DATASETS, {"tenants": tenants, "datasets": [line["dataset"] for line in lines]})
    await connection.execute(HOLD_RESULTS, {"tenants": tenants, "keys": [entry.key for entry in sourced]})
    asked = list(frozenset().union(*(entry.sources for entry in sourced)))
    values = {"tenants": [tenant for tenant, _ in asked], "versions": [version for _, version in asked]}
    rows = (await connection.execute(THERE, values)).all()
    return {(row.tenant_id, row.version_id): (row.dataset_id, row.doc_id) for row in rows}


def place_of(line: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(line[name] for name in ("tenant", "dataset", "job", "stage", "provider", "model"))


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
