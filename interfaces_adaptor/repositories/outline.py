"""What stands for a whole dataset, or for what the filters leave of it."""

from __future__ import annotations

from uuid import UUID

from interfaces_adaptor.repositories.nearest import Nearest
from interfaces_adaptor.repositories.statements import filter_values, statement
from services.domain import Dataset
from services.retrieval.hits import Filters

OUTLINE_PASSAGES, OUTLINE_SUMMARIES = statement("outline_passages"), statement("outline_summaries")


# A question that names a tag is compared with no more of them.
MOST_TAGS = 1_000


class Outline(Nearest):
    async def outline(self, dataset: Dataset, filters: Filters, limit: int) -> list[UUID]:
        every = max(1, -(-await self.count_passages(dataset, filters) // limit))
        values = {"dataset": dataset.dataset_id, "limit": limit, **filter_values(filters)}
        if every > 1:
            rows = await self.all(OUTLINE_SUMMARIES, tree=dataset.live_tree_id, **values)
            if rows:
                return [row["node_id"] for row in rows]
        rows = await self.all(OUTLINE_PASSAGES, every=every, **values)
        return [row["chunk_id"] for row in rows]

    async def tags(self, dataset: Dataset) -> list[str]:
        rows = await self.all(
            """
            select distinct tag from documents d cross join jsonb_array_elements_text(d.tags) as tag
            where d.tenant_id = :tenant and d.dataset_id = :dataset and d.deleted_at is null
            order by tag limit :limit
            """,
            dataset=dataset.dataset_id,
            limit=MOST_TAGS,
        )
        return [row["tag"] for row in rows]
