"""What was found, as it is shown: text and place, the path to the root, the passages under a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.served import ALLOWED, LIVE_TREE, SUMMARY_ALLOWED, document_conditions
from services.domain import Dataset
from services.retrieval.hits import (
    Ancestor,
    Filters,
    Hit,
    Scored,
)

PARENT = f"""
    select e.parent_id from tree_edges e
    where e.tenant_id = :tenant and e.tree_id = {LIVE_TREE} and e.is_primary and e.child_id = {{child}} limit 1
"""


class Hits(UnitOfWork):
    async def hits(self, dataset: Dataset, scored: Sequence[Scored], filters: Filters) -> list[Hit]:
        """Looked up one by one: `limit 1` keeps the planner from joining whole trees."""
        documents, values = document_conditions(filters)
        restricted = f"and {SUMMARY_ALLOWED.format(node='t.node_id')}" if documents else ""
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, wanted as materialized (
                select * from unnest(cast(:ids as uuid[])) as w (node_id)
            )
            select w.node_id, 'leaf' as kind, n.title, c.text, c.token_cnt, c.doc_id, d.source, c.heading_path,
                c.start_char, c.end_char, array[c.chunk_id] as chunk_ids
            from wanted w
            join chunks c on c.tenant_id = :tenant and c.chunk_id = w.node_id
                and c.version_id in (select version_id from allowed)
            join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = c.doc_id
            left join lateral (
                select t.title from tree_nodes t
                where t.tenant_id = :tenant and t.tree_id = {LIVE_TREE} and t.node_id = w.node_id limit 1
            ) n on true
            union all
            select n.node_id, n.kind, n.title, n.text, n.token_cnt, null, null, null, null, null, (
                select array_agg(p.chunk_id order by p.rank) from tree_node_chunks p
                where p.tenant_id = :tenant and p.tree_id = {LIVE_TREE} and p.node_id = n.node_id
            )
            from wanted w
            cross join lateral (
                select t.* from tree_nodes t
                where t.tenant_id = :tenant and t.tree_id = {LIVE_TREE} and t.node_id = w.node_id and t.level > 0
                    and not t.stale and t.text is not null {restricted} limit 1
            ) n
            """,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            ids=[one.node_id for one in scored],
            **values,
        )
        by_id = {row["node_id"]: row for row in rows}
        return [hit_from(by_id[one.node_id], one) for one in scored if one.node_id in by_id]

    async def paths(self, dataset: Dataset, node_ids: Sequence[UUID]) -> Mapping[UUID, tuple[Ancestor, ...]]:
        rows = await self.all(
            f"""
            with recursive above as (
                select w.start, e.parent_id as node_id, 1 as step from unnest(cast(:ids as uuid[])) as w (start)
                cross join lateral ({PARENT.format(child="w.start")}) e
                union all
                select a.start, e.parent_id, a.step + 1 from above a
                cross join lateral ({PARENT.format(child="a.node_id")}) e
            )
            select a.start, n.node_id, n.level, case when n.stale then null else n.title end as title from above a
            cross join lateral (
                select t.node_id, t.level, t.stale, t.title from tree_nodes t
                where t.tenant_id = :tenant and t.tree_id = {LIVE_TREE} and t.node_id = a.node_id limit 1
            ) n
            order by a.start, a.step
            """,
            tree=dataset.live_tree_id,
            ids=list(node_ids),
        )
        paths: dict[UUID, list[Ancestor]] = {}
        for row in rows:
            paths.setdefault(row["start"], []).append(Ancestor(row["node_id"], row["level"], row["title"]))
        return {node_id: tuple(path) for node_id, path in paths.items()}

    async def outline(self, dataset: Dataset, filters: Filters, limit: int) -> list[UUID]:
        documents, values = document_conditions(filters)
        leaves = await self.first(
            f"""
            with {ALLOWED.format(documents=documents)} select coalesce(sum(chunk_count), 0) as n from allowed
            """,
            dataset=dataset.dataset_id,
            **values,
        )
        assert leaves is not None
        every = max(1, -(-int(leaves["n"]) // limit))
        summaries = await self._lowest_summaries(dataset, filters, limit) if every > 1 else []
        if summaries:
            return summaries
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}
            select c.chunk_id from chunks c join allowed a on a.version_id = c.version_id
            where c.tenant_id = :tenant and c.idx % :every = 0 order by c.doc_id, c.idx limit :limit
            """,
            dataset=dataset.dataset_id,
            every=every,
            limit=limit,
            **values,
        )
        return [row["chunk_id"] for row in rows]

    async def _lowest_summaries(self, dataset: Dataset, filters: Filters, limit: int) -> list[UUID]:
        documents, values = document_conditions(filters)
        restricted = f"and {SUMMARY_ALLOWED.format(node='n.node_id')}" if documents else ""
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, live as (
                select n.node_id, n.level, n.position, count(*) over (partition by n.level) as wide from tree_nodes n
                where n.tenant_id = :tenant and n.tree_id = {LIVE_TREE} and n.level > 0 and not n.stale
                    and n.text is not null {restricted}
            )
            select node_id from live where level = (select min(level) from live where wide <= :limit)
            order by position
            """,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            limit=limit,
            **values,
        )
        return [row["node_id"] for row in rows]


def hit_from(row: RowMapping, scored: Scored) -> Hit:
    return Hit(
        node_id=row["node_id"],
        kind=row["kind"],
        level=scored.level,
        score=scored.score,
        title=row["title"],
        text=row["text"],
        token_cnt=row["token_cnt"],
        doc_id=row["doc_id"],
        source=row["source"],
        heading_path=tuple(row["heading_path"] or ()),
        start=row["start_char"],
        end=row["end_char"],
        chunk_ids=tuple(row["chunk_ids"] or ()),
    )
