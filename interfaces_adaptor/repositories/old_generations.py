"""What nothing stands on any more is removed: generations past their time, their trees, replaced versions."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import (
    datasets,
    document_versions,
    embeddings,
    posting_totals,
    postings,
    tree_edges,
    tree_node_chunks,
    tree_nodes,
    trees,
)
from infra.uow.unit_of_work import any_of, short_transaction
from interfaces_adaptor.repositories.dataset_lock import DatasetLock
from services.domain import TenantId
from services.tree.generations import Retention

EXPIRED = """
    delete from generations g using (
        select generation, row_number() over (order by generation desc) as place from generations
        where tenant_id = :tenant and dataset_id = :dataset and superseded_at is not null
    ) o
    where g.tenant_id = :tenant and g.dataset_id = :dataset and g.generation = o.generation
        and (o.place > :kept or g.superseded_at < now() - cast(:time as interval))
"""

# A tree of an abandoned build, or of generations that are all gone; or with nodes, though all of these are erased.
SUPERSEDED_TREE = """
    select t.tree_id, g.listed from trees t
    cross join lateral (
        select count(*) > 0 as listed, count(*) filter (where g.erased_at is null) > 0 as kept from generations g
        where g.tenant_id = t.tenant_id and g.tree_id = t.tree_id
    ) g
    where t.tenant_id = :tenant and t.dataset_id = :dataset and t.state = 'superseded' and not g.kept
        and (not g.listed or exists (
            select from tree_nodes n where n.tenant_id = t.tenant_id and n.tree_id = t.tree_id
        ))
    order by t.created_at, t.tree_id limit 1
    for update of t skip locked
"""

SUPERSEDED_VERSIONS = """
    select v.version_id from document_versions v
    where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'superseded'
        and v.superseded_at <= greatest(now() - cast(:time as interval), (
            select min(g.published_at) from generations g
            where g.tenant_id = :tenant and g.dataset_id = :dataset
                and (g.superseded_at is null or g.erased_at is null)
        ))
        and not exists (
            select from chunks c join tree_nodes n on n.tenant_id = c.tenant_id and n.chunk_id = c.chunk_id
            where c.tenant_id = v.tenant_id and c.version_id = v.version_id
        )
        and not exists (
            select from jobs j where j.tenant_id = v.tenant_id and j.job_id = v.job_id
                and j.status in ('queued', 'running')
        )
    order by v.superseded_at, v.version_id limit :limit
    for update
"""

# Where something is left that the end of a build did not take along: its time came later, or the worker died.
DUE = """
    select s.tenant_id, s.dataset_id from datasets s
    where exists (
            select from generations g where g.tenant_id = s.tenant_id and g.dataset_id = s.dataset_id
                and g.superseded_at < now() - cast(:time as interval)
        )
        or exists (
            select from trees t where t.tenant_id = s.tenant_id and t.dataset_id = s.dataset_id
                and t.state = 'superseded' and not exists (
                    select from generations g
                    where g.tenant_id = t.tenant_id and g.tree_id = t.tree_id and g.erased_at is null
                )
        )
        or exists (
            select from document_versions v where v.tenant_id = s.tenant_id and v.dataset_id = s.dataset_id
                and v.state = 'superseded' and v.superseded_at < now() - cast(:time as interval)
        )
    order by s.tenant_id, s.dataset_id
"""


class OldGenerations(DatasetLock):
    async def expire_generations(self, dataset_id: str, retention: Retention) -> None:
        await self._lock(dataset_id)
        await self.execute(EXPIRED, dataset=dataset_id, kept=retention.kept, time=time_of(retention))

    async def remove_superseded_tree(self, dataset_id: str) -> bool:
        # An erasure goes through the rows of the same tree, in another order.
        await self.hold_dataset(dataset_id)
        tree = await self.first(SUPERSEDED_TREE, dataset=dataset_id)
        if tree is None:
            return False
        await self._empty_tree(tree["tree_id"])
        if not tree["listed"]:
            await self.execute(delete(trees).where(self.own(trees), trees.c.tree_id == tree["tree_id"]))
        return True

    async def _empty_tree(self, tree_id: UUID) -> None:
        # From the outside in: the cascades alone would do it row by row.
        for table, column in (
            (embeddings, embeddings.c.generation_id),
            (postings, postings.c.generation_id),
            (posting_totals, posting_totals.c.generation_id),
            (tree_node_chunks, tree_node_chunks.c.tree_id),
            (tree_edges, tree_edges.c.tree_id),
            (tree_nodes, tree_nodes.c.tree_id),
        ):
            await self.execute(delete(table).where(self.own(table), column == tree_id))

    async def remove_superseded_versions(self, dataset_id: str, retention: Retention, limit: int) -> int:
        await self._lock(dataset_id)
        rows = await self.all(SUPERSEDED_VERSIONS, dataset=dataset_id, time=time_of(retention), limit=limit)
        versions = [row["version_id"] for row in rows]
        for table, column in (
            (embeddings, embeddings.c.generation_id),
            (postings, postings.c.generation_id),
            (posting_totals, posting_totals.c.generation_id),
            (document_versions, document_versions.c.version_id),
        ):
            await self.execute(delete(table).where(self.own(table), column == any_of(versions)))
        return len(versions)

    async def _lock(self, dataset_id: str) -> None:
        """As whoever changes a dataset's documents or trees. One that is deleted has nothing left to remove."""
        await self.execute(
            select(datasets.c.dataset_id)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .with_for_update()
        )


def time_of(retention: Retention) -> timedelta:
    return timedelta(seconds=retention.seconds)


async def datasets_with_old_generations(engine: AsyncEngine, retention: Retention) -> list[tuple[TenantId, str]]:
    async with short_transaction(engine) as connection:
        rows = await connection.execute(text(DUE), {"time": time_of(retention)})
        return [(TenantId(row.tenant_id), row.dataset_id) for row in rows]
