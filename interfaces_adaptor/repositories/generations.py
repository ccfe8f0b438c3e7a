"""Generations: begun with each switch of the live tree, erased with a document, listed until their time is over."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.engine import RowMapping

from infra.db.schema import datasets, generations, trees
from interfaces_adaptor.repositories.dataset_lock import DatasetLock
from services.errors import ConcurrentChange
from services.tree.generations import Generation, Reason

OF_TREE = (generations.c.tenant_id == trees.c.tenant_id) & (generations.c.tree_id == trees.c.tree_id)
SHOWN = [generations.c[name] for name in Generation.__dataclass_fields__ if name != "stats"] + [trees.c.stats]

# Documents of a tree by the version that its leaves are of, against those of the tree before (null: there is none).
CHANGES = """
    with leaves as (
        select distinct n.tree_id, c.doc_id, c.version_id from tree_nodes n
        join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
        where n.tenant_id = :tenant and n.tree_id = any(array[cast(:tree as uuid), cast(:before as uuid)])
            and n.level = 0
    )
    select count(*) as documents, count(b.doc_id) as there, count(*) filter (where b.version_id <> a.version_id)
        as changed
    from (select * from leaves where tree_id = :tree) a
    left join (select * from leaves where tree_id = :before) b on b.doc_id = a.doc_id
"""


def generation_from(row: RowMapping) -> Generation:
    return Generation(**row)


class Generations(DatasetLock):
    async def lock_generation(self, dataset_id: str, expected: int) -> None:
        """Locks the dataset's row, as whoever changes documents or trees of a dataset does before anything else. Raises
        ConcurrentChange where another generation than the expected one is the last."""
        await self.lock_dataset(dataset_id)
        of_dataset = self.own(datasets), datasets.c.dataset_id == dataset_id
        row = await self.first(select(datasets.c.generation).where(*of_dataset))
        if row is None or row["generation"] != expected:
            raise ConcurrentChange("Another generation went live meanwhile.")

    async def begin_generation(
        self, dataset_id: str, tree_id: UUID, reason: Reason, *, restored: int | None = None
    ) -> int:
        """Ends the one that is live; the number of the new one. The dataset's row is locked."""
        live = await self.first(select(generations.c.tree_id, generations.c.documents).where(*self._live(dataset_id)))
        found = await self.first(CHANGES, tree=tree_id, before=live["tree_id"] if live else None)
        assert found is not None
        await self.end_generation(dataset_id)
        row = await self.first(
            update(datasets)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .values(generation=datasets.c.generation + 1)
            .returning(datasets.c.generation)
        )
        assert row is not None
        await self.execute(
            insert(generations).values(
                tenant_id=self.tenant,
                dataset_id=dataset_id,
                generation=row["generation"],
                tree_id=tree_id,
                reason=reason,
                restored=restored,
                documents=found["documents"],
                added=found["documents"] - found["there"],
                changed=found["changed"],
                # Those that were erased since are no leaves of the tree before any more: hence its count.
                removed=live["documents"] - found["there"] if live else 0,
                published_at=func.now(),
            )
        )
        return int(row["generation"])

    async def end_generation(self, dataset_id: str) -> None:
        await self.execute(update(generations).where(*self._live(dataset_id)).values(superseded_at=func.now()))

    async def erase_generations(self, dataset_id: str) -> None:
        """There is no way back across an erasure. The trees' rows are locked, so that nobody removes one of them while
        texts are erased in it."""
        superseded = self.own(trees), trees.c.dataset_id == dataset_id, trees.c.state == "superseded"
        await self.execute(select(trees.c.tree_id).where(*superseded).order_by(trees.c.tree_id).with_for_update())
        of = generations.c
        await self.execute(
            update(generations)
            .where(self.own(generations), of.dataset_id == dataset_id, of.erased_at.is_(None))
            .values(erased_at=func.now())
        )

    async def find_generation(self, dataset_id: str, generation: int) -> Generation | None:
        of = generations.c
        row = await self.first(
            select(*SHOWN)
            .select_from(generations.join(trees, OF_TREE))
            .where(self.own(generations), of.dataset_id == dataset_id, of.generation == generation)
        )
        return generation_from(row) if row else None

    async def list_generations(self, dataset_id: str, after: tuple[int] | None, limit: int) -> list[Generation]:
        of = generations.c
        rows = await self.all(
            select(*SHOWN)
            .select_from(generations.join(trees, OF_TREE))
            .where(
                self.own(generations),
                of.dataset_id == dataset_id,
                *((of.generation < after[0],) if after else ()),
            )
            .order_by(of.generation.desc())
            .limit(limit)
        )
        return [generation_from(row) for row in rows]

    def _live(self, dataset_id: str) -> tuple[ColumnElement[bool], ...]:
        of = generations.c
        return self.own(generations), of.dataset_id == dataset_id, of.superseded_at.is_(None)
