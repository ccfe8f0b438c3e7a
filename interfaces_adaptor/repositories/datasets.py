"""Datasets: one row holds the space, the live tree and how far the tree is behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from constants.queue import DROP_VECTOR_INDEXES, QUEUE
from infra.db.schema import (
    chunks,
    datasets,
    embeddings,
    tree_edges,
    tree_node_chunks,
    tree_nodes,
    trees,
    uploads,
    webhook_deliveries,
)
from interfaces_adaptor.repositories.erasure import Erasure
from services.datasets import DatasetField
from services.domain import Dataset, EmbeddingSpace, JsonObject, VectorIndex
from services.errors import DatasetNotFound

DESCRIBED = (
    *("dataset_id", "vector_index", "settings", "live_tree_id", "wanted_revision", "built_revision", "wanted_since"),
    *("wanted_at", "created_at", "ef_search", "generation", "sync_root"),
)


def space_from(row: RowMapping) -> EmbeddingSpace:
    return EmbeddingSpace(row["embed_provider"], row["embed_model"], row["embed_dim"])


def dataset_from(row: RowMapping) -> Dataset:
    return Dataset(space=space_from(row), **{name: row[name] for name in DESCRIBED})


class Datasets(Erasure):
    async def open_dataset(self, dataset_id: str, space: EmbeddingSpace, vector_index: VectorIndex) -> Dataset:
        made = insert(datasets).values(
            tenant_id=self.tenant,
            dataset_id=dataset_id,
            embed_provider=space.provider,
            embed_model=space.model,
            embed_dim=space.dimensions,
            vector_index=vector_index,
        )
        await self.execute(made.on_conflict_do_nothing())
        row = await self.first(
            select(datasets).where(self.own(datasets), datasets.c.dataset_id == dataset_id).with_for_update()
        )
        if row is None:
            # It was deleted between the two statements.
            return await self.open_dataset(dataset_id, space, vector_index)
        return dataset_from(row)

    async def get_dataset(self, dataset_id: str) -> Dataset:
        row = await self.first(select(datasets).where(self.own(datasets), datasets.c.dataset_id == dataset_id))
        if row is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        return dataset_from(row)

    async def change_dataset(self, dataset_id: str, *, vector_index: VectorIndex | None, settings: JsonObject) -> None:
        changes: dict[str, Any] = {"settings": datasets.c.settings.concat(dict(settings)), "updated_at": func.now()}
        if vector_index is not None:
            changes["vector_index"] = vector_index
        await self.execute(
            update(datasets).where(self.own(datasets), datasets.c.dataset_id == dataset_id).values(**changes)
        )

    async def describe_anew(self, dataset_id: str, fields: Mapping[DatasetField, Any]) -> None:
        is_it = self.own(datasets), datasets.c.dataset_id == dataset_id
        await self.execute(update(datasets).where(*is_it).values({**fields, "updated_at": func.now()}))

    async def want_tree(self, dataset_id: str) -> int:
        behind = datasets.c.wanted_revision > datasets.c.built_revision
        row = await self.first(
            update(datasets)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .values(
                wanted_revision=datasets.c.wanted_revision + 1,
                wanted_at=func.now(),
                wanted_since=case((behind, datasets.c.wanted_since), else_=func.now()),
            )
            .returning(datasets.c.wanted_revision)
        )
        if row is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        return int(row["wanted_revision"])

    async def need_key(self, dataset_id: str) -> None:
        await self.execute(
            update(datasets)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .values(needs_key=datasets.c.wanted_revision > datasets.c.built_revision)
        )

    async def delete_dataset(self, dataset_id: str) -> None:
        await self.lock_dataset(dataset_id)
        await self.erase_results(dataset_id)
        await self.execute(
            """
            select procrastinate_cancel_job_v1(queue_job_id, true, true) from jobs
            where tenant_id = :tenant and dataset_id = :dataset and status in ('queued', 'running')
            """,
            dataset=dataset_id,
        )
        # From the outside in: cascades alone would do it row by row.
        own_trees = select(trees.c.tree_id).where(self.own(trees), trees.c.dataset_id == dataset_id)
        for table, of_dataset in (
            (embeddings, embeddings.c.dataset_id == dataset_id),
            (tree_node_chunks, tree_node_chunks.c.tree_id.in_(own_trees)),
            (tree_edges, tree_edges.c.tree_id.in_(own_trees)),
            (tree_nodes, tree_nodes.c.tree_id.in_(own_trees)),
            (chunks, chunks.c.dataset_id == dataset_id),
            (uploads, uploads.c.dataset_id == dataset_id),
            (webhook_deliveries, webhook_deliveries.c.data["dataset_id"].as_string() == dataset_id),
        ):
            await self.execute(delete(table).where(self.own(table), of_dataset))
        await self.execute(delete(datasets).where(self.own(datasets), datasets.c.dataset_id == dataset_id))
        # An index cannot be dropped in a transaction without locking everybody out of the table.
        await self.execute(
            """
            select procrastinate_defer_jobs_v1(array[row(
                cast(:queue as text), cast(:task as text), 0, null, null,
                jsonb_build_object('timestamp', extract(epoch from now())::bigint), null
            )::procrastinate_job_to_defer_v1])
            """,
            queue=QUEUE,
            task=DROP_VECTOR_INDEXES,
        )
