"""Search in vectors: exact for a small dataset or a narrow filter, through the dataset's own HNSW index otherwise.

Only what is served is searched, and filters are part of the statement: they hold before anything is ranked, so that
as many rows come back as match.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.db.vector_indexes import index_name
from interfaces_adaptor.repositories.candidates import METRICS, Candidates
from interfaces_adaptor.repositories.hits import Hits
from interfaces_adaptor.repositories.served import ALLOWED, LIVE_TREE, SUMMARY_ALLOWED, document_conditions
from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.hits import Branch, Filters, Scored

# Measured on text vectors: below this recall at 10 falls under 0.98. `raptor doctor --recall` finds a dataset's own.
EF_SEARCH = 100
# A filter that leaves so many passages is searched exactly: an index would look through others' neighbours for them.
EXACT_BELOW = 10_000


class Search(Candidates, Hits):
    async def limit_time(self, seconds: float) -> None:
        await self.execute(f"set local statement_timeout = {int(1000 * seconds)}")

    async def has_embedded(self, dataset_id: str) -> bool:
        row = await self.first(
            """
            select exists (
                select from document_versions v join documents d
                    on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
                where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready'
                    and d.deleted_at is null
            ) as there
            """,
            dataset=dataset_id,
        )
        return bool(row and row["there"])

    async def nearest(self, dataset: Dataset, query: FloatArray, limit: int, filters: Filters) -> list[Scored]:
        operator, score = METRICS[dataset.vector_index]
        documents, values = document_conditions(filters)
        levels = "and e.level = any(:levels)" if filters.level else ""
        order = f"e.v {operator} :query"
        indexed = await self._has_index(dataset) and not (documents and await self._narrow(dataset, filters))
        if indexed:
            await self._through_index(max(dataset.ef_search or EF_SEARCH, min(2 * limit, 1000)))
            cast = f"halfvec({dataset.space.dimensions})"
            order = f"e.v::{cast} {operator} cast(cast(:query as vector) as {cast})"
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, found as (
                select e.owner_id, e.level, {order} as distance from embeddings e
                where e.tenant_id = :tenant and e.dataset_id = :dataset and e.model = :model {levels}
                    and ({of_kind(filters, restricted=bool(documents))})
                order by {order} limit :limit
            )
            select owner_id, level, {score} as score from found order by distance, owner_id
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            query=query,
            limit=limit,
            **({"tree": dataset.live_tree_id} if not filters.level or max(filters.level) > 0 else {}),
            **({"levels": list(filters.level)} if filters.level else {}),
            **values,
        )
        if indexed:
            await self.execute("set local enable_sort = on")
        return [Scored(row["owner_id"], row["level"], float(row["score"])) for row in rows]

    async def _through_index(self, breadth: int) -> None:
        """For the next statement. The planner does not know what reading a vector costs that lies beside its row, and
        would rather compare all of them and sort (640 ms instead of 75 for 100,000 passages)."""
        await self.execute(
            """
            select set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('enable_sort', 'off', true),
                set_config('hnsw.ef_search', :breadth, true)
            """,
            breadth=str(breadth),
        )

    async def children(
        self, dataset: Dataset, query: FloatArray, parents: Sequence[UUID] | None, limit: int, filters: Filters
    ) -> list[Branch]:
        operator, score = METRICS[dataset.vector_index]
        documents, values = document_conditions(filters)
        under = f"""n.node_id in (
            select t.child_id from tree_edges t
            where t.tenant_id = :tenant and t.tree_id = {LIVE_TREE} and t.parent_id = any(:parents)
        )"""
        among = under if parents is not None else "n.kind = 'root'"
        reached = f"""exists (
            select from chunks c
            where c.tenant_id = :tenant and c.version_id in (select version_id from allowed)
                and (c.chunk_id = n.chunk_id or n.level > 0 and exists (
                    select from tree_node_chunks p where p.tenant_id = :tenant and p.tree_id = {LIVE_TREE}
                        and p.node_id = n.node_id and p.chunk_id = c.chunk_id
                ))
        )"""
        whole = f"level = 0 or {SUMMARY_ALLOWED.format(node='found.node_id')}" if documents else "true"
        rows = await self.all(
            f"""
            with {ALLOWED.format(documents=documents)}, found as (
                select n.node_id, n.level, not n.stale and (n.level = 0 or n.text is not null) as live,
                    coalesce(e.v {operator} :query, 1) as distance
                from tree_nodes n
                left join embeddings e on e.tenant_id = n.tenant_id and e.dataset_id = :dataset and e.model = :model
                    and e.owner_id = n.node_id
                    and e.owner_type = case when n.level = 0 then 'chunk' else 'tree_node' end
                where n.tenant_id = :tenant and n.tree_id = {LIVE_TREE} and {among} and {reached}
                order by distance limit :limit
            )
            select node_id, level, {score} as score, live and ({whole}) as whole from found
            order by distance, node_id
            """,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            tree=dataset.live_tree_id,
            query=query,
            limit=limit,
            **({"parents": list(parents)} if parents is not None else {}),
            **values,
        )
        return [Branch(Scored(row["node_id"], row["level"], float(row["score"])), row["whole"]) for row in rows]

    async def _narrow(self, dataset: Dataset, filters: Filters) -> bool:
        documents, values = document_conditions(filters)
        row = await self.first(
            f"with {ALLOWED.format(documents=documents)} select coalesce(sum(chunk_count), 0) as n from allowed",
            dataset=dataset.dataset_id,
            **values,
        )
        return bool(row and row["n"] <= EXACT_BELOW)

    async def _has_index(self, dataset: Dataset) -> bool:
        if dataset.vector_index == "exact":
            return False
        row = await self.first(
            """
            select coalesce(bool_and(i.indisvalid), false) as valid from pg_index i
            where i.indexrelid = to_regclass(:name)
            """,
            name=index_name(self.tenant, dataset.dataset_id, dataset.space, dataset.vector_index),
        )
        return bool(row and row["valid"])


def of_kind(filters: Filters, *, restricted: bool) -> str:
    """Conditions on `embeddings e` for the levels that are wanted: a statement for passages alone can go by their
    generations, one with summaries has to look at their nodes too."""
    kinds: list[str] = []
    if not filters.level or 0 in filters.level:
        # `is true` keeps it a look into a hash table, row by row: as a join it would end the order of the index.
        kinds.append("e.owner_type = 'chunk' and (e.generation_id in (select version_id from allowed)) is true")
    if not filters.level or max(filters.level) > 0:
        whole = f"and {SUMMARY_ALLOWED.format(node='e.owner_id')}" if restricted else ""
        kinds.append(
            f"""e.generation_id = {LIVE_TREE} and exists (
                select from tree_nodes n where n.tenant_id = :tenant and n.tree_id = {LIVE_TREE}
                    and n.node_id = e.owner_id and not n.stale and n.text is not null
            ) {whole}"""
        )
    return " or ".join(kinds)
