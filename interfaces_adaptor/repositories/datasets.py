"""Datasets: one row holds the space, the live tree and how far the tree is behind."""

from __future__ import annotations

from sqlalchemy.engine import RowMapping

from constants.queue import DROP_VECTOR_INDEXES, MAINTENANCE
from infra.uow.unit_of_work import UnitOfWork, as_json
from services.domain import Dataset, EmbeddingSpace, JsonObject, VectorIndex
from services.errors import DatasetNotFound

COLUMNS = """dataset_id, embed_provider, embed_model, embed_dim, vector_index, settings, live_tree_id,
    wanted_revision, built_revision, wanted_since, wanted_at, created_at, ef_search"""


def space_from(row: RowMapping) -> EmbeddingSpace:
    return EmbeddingSpace(row["embed_provider"], row["embed_model"], row["embed_dim"])


def dataset_from(row: RowMapping) -> Dataset:
    return Dataset(
        dataset_id=row["dataset_id"],
        space=space_from(row),
        vector_index=row["vector_index"],
        settings=row["settings"],
        live_tree_id=row["live_tree_id"],
        wanted_revision=row["wanted_revision"],
        built_revision=row["built_revision"],
        wanted_since=row["wanted_since"],
        wanted_at=row["wanted_at"],
        created_at=row["created_at"],
        ef_search=row["ef_search"],
    )


class Datasets(UnitOfWork):
    async def open_dataset(self, dataset_id: str, space: EmbeddingSpace, vector_index: VectorIndex) -> Dataset:
        await self.execute(
            """
            insert into datasets (tenant_id, dataset_id, embed_provider, embed_model, embed_dim, vector_index)
            values (:tenant, :dataset, :provider, :model, :dimensions, :vector_index)
            on conflict do nothing
            """,
            dataset=dataset_id,
            provider=space.provider,
            model=space.model,
            dimensions=space.dimensions,
            vector_index=vector_index,
        )
        row = await self.first(
            f"select {COLUMNS} from datasets where tenant_id = :tenant and dataset_id = :dataset for update",
            dataset=dataset_id,
        )
        assert row is not None
        return dataset_from(row)

    async def get_dataset(self, dataset_id: str) -> Dataset:
        row = await self.first(
            f"select {COLUMNS} from datasets where tenant_id = :tenant and dataset_id = :dataset",
            dataset=dataset_id,
        )
        if row is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        return dataset_from(row)

    async def change_dataset(self, dataset_id: str, *, vector_index: VectorIndex | None, settings: JsonObject) -> None:
        await self.execute(
            """
            update datasets set vector_index = coalesce(:vector_index, vector_index),
                settings = settings || cast(:settings as jsonb), updated_at = now()
            where tenant_id = :tenant and dataset_id = :dataset
            """,
            dataset=dataset_id,
            vector_index=vector_index,
            settings=as_json(dict(settings)),
        )

    async def want_tree(self, dataset_id: str) -> int:
        row = await self.first(
            """
            update datasets set wanted_revision = wanted_revision + 1, wanted_at = now(),
                wanted_since = case when wanted_revision > built_revision then wanted_since else now() end
            where tenant_id = :tenant and dataset_id = :dataset
            returning wanted_revision
            """,
            dataset=dataset_id,
        )
        if row is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        return int(row["wanted_revision"])

    async def delete_dataset(self, dataset_id: str) -> None:
        await self.execute(
            """
            select procrastinate_cancel_job_v1(queue_job_id, true, true) from jobs
            where tenant_id = :tenant and dataset_id = :dataset and status in ('queued', 'running')
            """,
            dataset=dataset_id,
        )
        # From the outside in: cascades alone would do it row by row.
        trees = "select tree_id from trees where tenant_id = :tenant and dataset_id = :dataset"
        for table, condition in (
            ("embeddings", "dataset_id = :dataset"),
            ("tree_node_chunks", f"tree_id in ({trees})"),
            ("tree_edges", f"tree_id in ({trees})"),
            ("tree_nodes", f"tree_id in ({trees})"),
            ("chunks", "dataset_id = :dataset"),
        ):
            await self.execute(f"delete from {table} where tenant_id = :tenant and {condition}", dataset=dataset_id)
        gone = await self.first(
            "delete from datasets where tenant_id = :tenant and dataset_id = :dataset returning dataset_id",
            dataset=dataset_id,
        )
        if gone is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        # An index cannot be dropped in a transaction without locking everybody out of the table.
        await self.execute(
            """
            select procrastinate_defer_jobs_v1(array[row(
                cast(:queue as text), cast(:task as text), 0, null, null,
                jsonb_build_object('timestamp', extract(epoch from now())::bigint), null
            )::procrastinate_job_to_defer_v1])
            """,
            queue=MAINTENANCE,
            task=DROP_VECTOR_INDEXES,
        )
