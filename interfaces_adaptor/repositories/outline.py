"""What stands for a whole dataset, or for what the filters leave of it."""

from __future__ import annotations

from uuid import UUID

from interfaces_adaptor.repositories.nearest import Nearest
from interfaces_adaptor.repositories.statements import filter_values, statement
from services.domain import Dataset
from services.retrieval.hits import Filters

OUTLINE_PASSAGES, OUTLINE_SUMMARIES = statement("outline_passages"), statement("outline_summaries")


class Outline(Nearest):
    async def outline(self, dataset: Dataset, filters: Filters, limit: int) -> list[UUID]:
        every = max(1, -(-await self.count_passages(dataset, filters) // limit))
        values = {"dataset": dataset.dataset_id, "limit": limit, **filter_values(filters)}
        if every > 1:
            rows = await self.all(OUTLINE_SUMMARIES, tree=dataset.live_tree_id, **values)
            if rows:
                return [row["node_id"] for row in rows]
        return [row["chunk_id"] for row in await self.all(OUTLINE_PASSAGES, every=every, **values)]
