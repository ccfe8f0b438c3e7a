"""A large dataset's own HNSW index: made beside its use when the dataset has grown, dropped when it is gone.

One index a dataset, not one for all: it holds that dataset's neighbours only, so that no filter thins out what comes
back; and writing another dataset's vectors does not pay for it (COPY into an indexed table took 582 rows a second
against 16,000 without).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.db.schema import datasets
from services.domain import Dataset, EmbeddingSpace, TenantId

logger = logging.getLogger(__name__)

OPERATOR_CLASSES = {
    "hnsw_cosine": "halfvec_cosine_ops",
    "hnsw_ip": "halfvec_ip_ops",
    "hnsw_l2": "halfvec_l2_ops",
}
EMBEDDINGS = "embeddings"  # Postgres makes one index of a table at a time
TURN_S = 1.0
LARGEST_HALFVEC = 4_000  # dimensions that an HNSW index takes


def index_name(tenant: str, dataset_id: str, space: EmbeddingSpace, vector_index: str) -> str:
    """Names what shapes the index: a dataset that is made anew in another space needs another one."""
    parts = "\n".join((tenant, dataset_id, space.name, str(space.dimensions), vector_index))
    return f"hnsw_{hashlib.sha256(parts.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class VectorIndexes:
    """`from_vectors`: a dataset of fewer is searched exactly, which is as fast there and finds everything."""

    engine: AsyncEngine
    from_vectors: int

    async def keep(self, tenant: TenantId, dataset: Dataset) -> None:
        """Makes the dataset's index if it is large enough and has none. Readers and writers go on meanwhile; without
        the index search is exact, so that a failure is logged and the next change tries again."""
        if dataset.vector_index == "exact" or dataset.space.dimensions > LARGEST_HALFVEC:
            return
        name = index_name(tenant, dataset.dataset_id, dataset.space, dataset.vector_index)
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if await self._state(connection, name) or not await self._large(connection, tenant, dataset):
                return
            try:
                if await locked(connection, name):
                    while not await locked(connection, EMBEDDINGS):  # noqa: ASYNC110  other processes let it go
                        await asyncio.sleep(TURN_S)
                    await self._make(connection, name, tenant, dataset)
            except DBAPIError as error:
                logger.warning("no vector index", extra={"dataset_id": dataset.dataset_id, "error": str(error.orig)})
            finally:
                await connection.execute(text("select pg_advisory_unlock_all()"))

    async def _state(self, connection: AsyncConnection, name: str) -> bool | None:
        """Whether the index is valid; None where there is none."""
        state: bool | None = await connection.scalar(
            text("select indisvalid from pg_index where indexrelid = to_regclass(:name)"), {"name": name}
        )
        return state

    async def _large(self, connection: AsyncConnection, tenant: TenantId, dataset: Dataset) -> bool:
        rows = await connection.scalar(
            text(
                "select count(*) from (select from embeddings where tenant_id = :tenant and dataset_id = :dataset"
                " limit :enough) counted"
            ),
            {"tenant": tenant, "dataset": dataset.dataset_id, "enough": self.from_vectors},
        )
        return int(rows or 0) >= self.from_vectors

    async def _make(self, connection: AsyncConnection, name: str, tenant: TenantId, dataset: Dataset) -> None:
        state = await self._state(connection, name)
        if state or not await self._still_wanted(connection, tenant, dataset):
            return
        if state is False:
            # What an interrupted build left: it is kept up to date and never read.
            await connection.execute(text(f"drop index concurrently if exists {name}"))
        logger.info("vector index begins", extra={"dataset_id": dataset.dataset_id})
        await connection.execute(text(self._create(name, tenant, dataset)))
        logger.info("vector index is ready", extra={"dataset_id": dataset.dataset_id})

    async def _still_wanted(self, connection: AsyncConnection, tenant: TenantId, dataset: Dataset) -> bool:
        """Whether the dataset is there as it was: it may have been deleted or moved while others had their turn."""
        row = (
            await connection.execute(
                select(datasets).where(datasets.c.tenant_id == tenant, datasets.c.dataset_id == dataset.dataset_id)
            )
        ).one_or_none()
        if row is None:
            return False
        space = EmbeddingSpace(row.embed_provider, row.embed_model, row.embed_dim)
        return (space, row.vector_index) == (dataset.space, dataset.vector_index)

    def _create(self, name: str, tenant: TenantId, dataset: Dataset) -> str:
        return f"""
            create index concurrently {name} on embeddings
            using hnsw ((v::halfvec({dataset.space.dimensions})) {OPERATOR_CLASSES[dataset.vector_index]})
            where tenant_id = {literal(tenant)} and dataset_id = {literal(dataset.dataset_id)}
                and model = {literal(dataset.space.name)} and dim = {dataset.space.dimensions}
        """

    async def drop_orphans(self) -> int:
        """Drops the indexes that no dataset reads any more: it is gone, or has another space or metric now. How many
        that were."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                while not await locked(connection, EMBEDDINGS):  # noqa: ASYNC110  other processes let it go
                    await asyncio.sleep(TURN_S)
                orphans = await self._orphans(connection)
                for name in orphans:
                    await connection.execute(text(f"drop index concurrently if exists {name}"))
                return len(orphans)
            finally:
                await connection.execute(text("select pg_advisory_unlock_all()"))

    async def _orphans(self, connection: AsyncConnection) -> list[str]:
        there = await connection.scalars(
            text("select indexname from pg_indexes where tablename = 'embeddings' and indexname like 'hnsw\\_%'")
        )
        of = datasets.c
        rows = await connection.execute(
            select(of.tenant_id, of.dataset_id, of.embed_provider, of.embed_model, of.embed_dim, of.vector_index)
        )
        wanted = {index_name(row[0], row[1], EmbeddingSpace(*row[2:5]), row[5]) for row in rows}
        return sorted(set(there) - wanted)


async def locked(connection: AsyncConnection, what: str) -> bool:
    """Takes the session's lock if it is free. Asked again and again instead of waited for: two indexes that are made
    at once wait for each other's end, and so does one for a session that waits inside a statement."""
    taken: bool | None = await connection.scalar(
        text("select pg_try_advisory_lock(hashtextextended(:what, 0))"), {"what": f"vector index of {what}"}
    )
    return bool(taken)


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
