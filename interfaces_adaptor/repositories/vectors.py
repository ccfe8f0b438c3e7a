"""Vectors: written by COPY, read in blocks, found again by the content they stand for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from uuid import UUID

import numpy as np
from sqlalchemy import ColumnElement, LargeBinary, select
from sqlalchemy.dialects.postgresql import distinct_on

from infra.db.schema import chunks, embeddings, trees
from infra.uow.unit_of_work import any_of
from interfaces_adaptor.repositories.dataset_lock import DatasetLock
from services.arrays import FloatArray
from services.domain import EmbeddingSpace
from services.errors import ConcurrentChange, VectorStoreError
from services.ingest.documents import NewVector
from utils.batching import batches
from utils.hashing import stable_uuid

# Rows a block while reading: 2,000 vectors of 1,024 dimensions are 8 MB.
BLOCK = 2_000


class Vectors(DatasetLock):
    async def reuse_vectors(self, dataset_id: str, keys: Mapping[UUID, bytes], space: EmbeddingSpace) -> set[UUID]:
        await self.hold_dataset(dataset_id)
        owners = list(keys)
        ids = [vector_id("chunk", owner, space) for owner in owners]
        await self.execute(
            """
            insert into embeddings (tenant_id, id, dataset_id, owner_type, owner_id, generation_id, level, model, dim,
                content_key, v)
            select :tenant, wanted.id, :dataset, 'chunk', wanted.owner_id, c.version_id, 0, :model, known.dim,
                wanted.content_key, known.v
            from unnest(cast(:ids as uuid[]), cast(:owners as uuid[]), cast(:keys as bytea[]))
                as wanted (id, owner_id, content_key)
            join chunks c on c.tenant_id = :tenant and c.chunk_id = wanted.owner_id
            join lateral (
                select e.dim, e.v from embeddings e
                where e.tenant_id = :tenant and e.content_key = wanted.content_key and e.model = :model limit 1
            ) known on true
            on conflict do nothing
            """,
            dataset=dataset_id,
            model=space.name,
            ids=ids,
            owners=owners,
            keys=[keys[owner] for owner in owners],
        )
        rows = await self.all(select(embeddings.c.owner_id).where(self.own(embeddings), embeddings.c.id == any_of(ids)))
        return {row["owner_id"] for row in rows}

    async def add_vectors(self, dataset_id: str, space: EmbeddingSpace, vectors: Sequence[NewVector]) -> None:
        await self.hold_dataset(dataset_id)
        await self._refuse_abandoned({one.generation_id for one in vectors if one.owner_type == "tree_node"})
        ids = [vector_id(vector.owner_type, vector.owner_id, space) for vector in vectors]
        # A repeated attempt may write what the one before it wrote last.
        known = await self.all(select(embeddings.c.id).where(self.own(embeddings), embeddings.c.id == any_of(ids)))
        there = {row["id"] for row in known}
        columns = [
            *(
                "id",
                "dataset_id",
                "owner_type",
                "owner_id",
                "generation_id",
                "level",
                "model",
                "dim",
                "content_key",
                "v",
            ),
        ]
        rows = (
            (
                *(row_id, dataset_id, one.owner_type, one.owner_id, one.generation_id, one.level),
                *(space.name, space.dimensions, one.content_key, one.vector),
            )
            for row_id, one in zip(ids, vectors, strict=True)
            if row_id not in there
        )
        await self.copy("embeddings", columns, rows)

    async def _refuse_abandoned(self, tree_ids: Collection[UUID]) -> None:
        """Raises ConcurrentChange for a tree that is not under construction any more, because a text was erased that it
        was made of. Nothing would erase its vectors later."""
        building = await self.all(
            select(trees.c.tree_id).where(
                self.own(trees), trees.c.tree_id == any_of(list(tree_ids)), trees.c.state == "building"
            )
        )
        if len(building) < len(tree_ids):
            raise ConcurrentChange("Documents were erased while the tree was built: it begins anew without them.")

    async def known_vectors(self, keys: Collection[bytes], space: EmbeddingSpace) -> dict[bytes, FloatArray]:
        rows = await self.all(
            select(embeddings.c.content_key, embeddings.c.v)
            .ext(distinct_on(embeddings.c.content_key))
            .where(*self._of_contents(keys, space))
            .order_by(embeddings.c.content_key)
        )
        return {row["content_key"]: row["v"].to_numpy() for row in rows}

    async def embedded_keys(self, keys: Collection[bytes], space: EmbeddingSpace) -> set[bytes]:
        rows = await self.all(select(embeddings.c.content_key).distinct().where(*self._of_contents(keys, space)))
        return {row["content_key"] for row in rows}

    async def vectors_of_chunks(self, chunk_ids: Sequence[UUID], space: EmbeddingSpace) -> AsyncIterator[FloatArray]:
        for block in batches(chunk_ids, BLOCK):
            ids = [vector_id("chunk", chunk_id, space) for chunk_id in block]
            rows = await self.all(
                select(embeddings.c.owner_id, embeddings.c.v).where(
                    self.own(embeddings), embeddings.c.id == any_of(ids)
                )
            )
            by_owner = {row["owner_id"]: row["v"].to_numpy() for row in rows}
            missing = [chunk_id for chunk_id in block if chunk_id not in by_owner]
            if missing:
                await self._refuse_missing(missing)
            yield np.stack([by_owner[chunk_id] for chunk_id in block])

    async def _refuse_missing(self, chunk_ids: Sequence[UUID]) -> None:
        """Raises ConcurrentChange for chunks that were erased meanwhile, VectorStoreError for those that are there."""
        there = await self.all(
            select(chunks.c.chunk_id).where(self.own(chunks), chunks.c.chunk_id == any_of(chunk_ids))
        )
        if len(there) < len(chunk_ids):
            raise ConcurrentChange("Documents were erased meanwhile.")
        raise VectorStoreError("Chunks have lost their vectors.", missing=len(chunk_ids))

    async def vectors_of_nodes(self, tree_id: UUID, space: EmbeddingSpace) -> dict[UUID, FloatArray]:
        of = embeddings.c
        rows = await self.all(
            select(of.owner_id, of.v).where(self.own(embeddings), of.generation_id == tree_id, of.model == space.name)
        )
        return {row["owner_id"]: row["v"].to_numpy() for row in rows}

    def _of_contents(self, keys: Collection[bytes], space: EmbeddingSpace) -> tuple[ColumnElement[bool], ...]:
        wanted = embeddings.c.content_key == any_of(list(keys), LargeBinary())
        return self.own(embeddings), wanted, embeddings.c.model == space.name


def vector_id(owner_type: str, owner_id: UUID, space: EmbeddingSpace) -> UUID:
    return stable_uuid("vector", owner_type, owner_id, space.name)
