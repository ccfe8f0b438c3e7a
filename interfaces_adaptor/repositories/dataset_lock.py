"""The dataset's row as a lock, between an erasure and whoever writes what could be written from the erased text.

Both take it before anything else, so that neither waits for a row of the other: an erasure for itself, writers side by
side. A statement that waits sees the database as it was before it waited, so that what may be gone is looked for in the
next one.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, select

from infra.db.schema import datasets, trees
from infra.uow.unit_of_work import UnitOfWork
from services.errors import DatasetNotFound


class DatasetLock(UnitOfWork):
    async def lock_dataset(self, dataset_id: str) -> None:
        is_it = self.own(datasets), datasets.c.dataset_id == dataset_id
        if await self.first(select(datasets.c.dataset_id).where(*is_it).with_for_update()) is None:
            raise DatasetNotFound(dataset_id=dataset_id)

    async def hold_dataset(self, dataset_id: str | Select[tuple[str]]) -> None:
        """Until the unit of work ends nothing of the dataset is erased."""
        of_it = (
            datasets.c.dataset_id == dataset_id
            if isinstance(dataset_id, str)
            else datasets.c.dataset_id.in_(dataset_id)
        )
        await self.execute(
            select(datasets.c.dataset_id).where(self.own(datasets), of_it).with_for_update(read=True, key_share=True)
        )

    async def hold_dataset_of_tree(self, tree_id: UUID) -> None:
        await self.hold_dataset(select(trees.c.dataset_id).where(self.own(trees), trees.c.tree_id == tree_id))
