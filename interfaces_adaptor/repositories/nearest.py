"""Search by likeness: exact for a small dataset or a narrow filter, through the dataset's own HNSW index otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause

from infra.db.vector_indexes import index_name
from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.statements import filter_values, statement
from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.hits import Branch, Filters, Scored

NEAREST, CHILDREN, COUNT_PASSAGES = statement("nearest"), statement("children"), statement("count_passages")

# How an index orders, and what makes of its distance a score that grows with likeness. All vectors have length 1.
METRICS = {
    "hnsw_cosine": ("<=>", "1 - distance"),
    "hnsw_ip": ("<#>", "- distance"),
    "hnsw_l2": ("<->", "1 - distance * distance / 2"),
}
# Measured on text vectors: below this recall at 10 falls under 0.98. `raptor doctor --recall` finds a dataset's own.
EF_SEARCH = 100
# A filter that leaves so many passages is searched exactly: an index would look through others' neighbours for them.
EXACT_BELOW = 10_000


@cache
def nearest_indexed(vector_index: str, dimensions: int) -> TextClause:
    operator, score = METRICS[vector_index]
    return statement("nearest_indexed", operator=operator, score=score, dimensions=str(dimensions))


class Nearest(UnitOfWork):
    async def nearest(self, dataset: Dataset, query: FloatArray, limit: int, filters: Filters) -> list[Scored]:
        levels = filters.level
        values: dict[str, Any] = {
            "dataset": dataset.dataset_id,
            "model": dataset.space.name,
            "tree": dataset.live_tree_id,
            "query": query,
            "levels": list(levels) or None,
            "passages": not levels or 0 in levels,
            "summaries": not levels or max(levels) > 0,
            "limit": limit,
            **filter_values(filters),
        }
        if not await self._has_index(dataset) or (values["filtered"] and await self._narrow(dataset, filters)):
            rows = await self.all(NEAREST, **values)
        else:
            await self._through_index(max(dataset.ef_search or EF_SEARCH, min(2 * limit, 1000)))
            rows = await self.all(nearest_indexed(dataset.vector_index, dataset.space.dimensions), **values)
            await self.execute("set local enable_sort = on")
        return [Scored(row["owner_id"], row["level"], float(row["score"])) for row in rows]

    async def children(
        self, dataset: Dataset, query: FloatArray, parents: Sequence[UUID] | None, limit: int, filters: Filters
    ) -> list[Branch]:
        rows = await self.all(
            CHILDREN,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            tree=dataset.live_tree_id,
            parents=None if parents is None else list(parents),
            query=query,
            limit=limit,
            **filter_values(filters),
        )
        return [Branch(Scored(row["node_id"], row["level"], float(row["score"])), row["whole"]) for row in rows]

    async def count_passages(self, dataset: Dataset, filters: Filters) -> int:
        row = await self.first(COUNT_PASSAGES, dataset=dataset.dataset_id, **filter_values(filters))
        assert row is not None
        return int(row["n"])

    async def _narrow(self, dataset: Dataset, filters: Filters) -> bool:
        return await self.count_passages(dataset, filters) <= EXACT_BELOW

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
