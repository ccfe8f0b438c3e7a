"""Datasets as clients see them: counts, state, live tree, vector index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.engine import RowMapping

from infra.db.vector_indexes import index_name
from interfaces_adaptor.repositories.datasets import space_from
from interfaces_adaptor.repositories.trees import Trees
from services.domain import EmbeddingSpace, JsonObject
from services.errors import DatasetNotFound
from services.tree.nodes import Tree

EmbeddingStatus = Literal["not_started", "pending", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    dataset_id: str
    name: str | None
    description: str | None
    space: EmbeddingSpace
    vector_index: str
    settings: JsonObject
    documents: int
    chunks: int
    live_tree: Tree | None
    generation: int | None
    wanted_revision: int
    built_revision: int
    embedding_status: EmbeddingStatus
    embedding_progress: float
    embedding_error: JsonObject | None
    documents_outside_tree: int
    summaries: int
    summaries_waiting: int
    needs_key: bool
    usage: JsonObject
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class IndexEntry:
    dataset_id: str
    space: EmbeddingSpace
    vectors: int
    vector_index: str
    indexed: bool
    dirty: bool
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class IndexTotal:
    """Of all datasets; `dirty` are those whose tree is behind their documents."""

    datasets: int
    vectors: int
    dirty: int
    updated_at: datetime | None


# The vectors that retrieval may look at.
INDEXES = """
    select s.dataset_id, s.embed_provider, s.embed_model, s.embed_dim, s.vector_index,
        s.wanted_revision > s.built_revision as dirty, n.vectors, n.updated_at
    from datasets s
    cross join lateral (
        select count(*) as vectors, max(e.created_at) as updated_at from embeddings e
        where e.tenant_id = s.tenant_id and e.dataset_id = s.dataset_id
            and (e.generation_id = s.live_tree_id or e.generation_id in (
                select v.version_id from document_versions v
                join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id
                    and d.doc_id = v.doc_id
                where v.tenant_id = s.tenant_id and v.dataset_id = s.dataset_id and v.state = 'ready'
                    and d.deleted_at is null
            ))
    ) n
    where s.tenant_id = :tenant
"""

# Counts and states of datasets, in one statement so that they belong together.
DATASETS = """
    select s.*, coalesce(n.documents, 0) as documents, coalesce(n.chunks, 0) as chunks,
        coalesce(n.outside, 0) as outside, coalesce(v.total, 0) as total, coalesce(v.embedded, 0) as embedded,
        coalesce(v.running, 0) as running, w.summaries, w.waiting, f.error, to_jsonb(u) as usage
    from datasets s
    left join lateral (
        select count(*) as documents, sum(v.chunk_count) as chunks,
            count(v.version_id) filter (where s.live_tree_id is not null and not exists (
                select from chunks c join tree_nodes t on t.tenant_id = c.tenant_id and t.chunk_id = c.chunk_id
                where c.tenant_id = v.tenant_id and c.version_id = v.version_id and t.tree_id = s.live_tree_id
            )) as outside
        from documents d
        left join document_versions v on v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id
            and v.doc_id = d.doc_id and v.state = 'ready'
        where d.tenant_id = s.tenant_id and d.dataset_id = s.dataset_id and d.deleted_at is null
    ) n on true
    left join lateral (
        select count(*) as total, count(v.embedded_at) as embedded,
            count(*) filter (where v.state = 'indexing' and v.embedded_at is null and exists (
                select from jobs j where j.tenant_id = v.tenant_id and j.job_id = v.job_id
                    and j.status = 'running'
            )) as running
        from document_versions v
        join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
        where v.tenant_id = s.tenant_id and v.dataset_id = s.dataset_id and d.deleted_at is null
            and v.state in ('indexing', 'ready')
    ) v on true
    left join lateral (
        select count(*) as summaries, count(*) filter (where t.stale or t.text is null) as waiting from tree_nodes t
        where t.tenant_id = s.tenant_id and t.tree_id = s.live_tree_id and t.level > 0
    ) w on true
    left join lateral (
        select j.error from jobs j
        join document_versions v on v.tenant_id = j.tenant_id and v.job_id = j.job_id
        where j.tenant_id = s.tenant_id and j.dataset_id = s.dataset_id and j.status = 'failed' and v.state = 'failed'
        order by j.created_at desc limit 1
    ) f on true
    left join lateral (
        select coalesce(sum(calls), 0) as calls, coalesce(sum(input_tokens), 0) as input_tokens,
            coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(cached_tokens), 0) as cached_tokens,
            coalesce(sum(cache_hits), 0) as cache_hits, coalesce(sum(cost), 0) as cost
        from usage_ledger l
        where l.tenant_id = s.tenant_id and l.dataset_id = s.dataset_id
            and l.day >= (s.created_at at time zone 'utc')::date
    ) u on true
    where s.tenant_id = :tenant
        and (cast(:dataset as text) is null or s.dataset_id = :dataset)
        and (cast(:after as text) is null or s.dataset_id > :after)
    order by s.dataset_id limit :limit
"""


class DatasetEntries(Trees):
    async def list_datasets(self, after: tuple[str] | None, limit: int) -> list[DatasetEntry]:
        rows = await self.all(DATASETS, dataset=None, after=after[0] if after else None, limit=limit)
        return [await self._dataset_from(row) for row in rows]

    async def describe_dataset(self, dataset_id: str) -> DatasetEntry:
        row = await self.first(DATASETS, dataset=dataset_id, after=None, limit=1)
        if row is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        return await self._dataset_from(row)

    async def _dataset_from(self, row: RowMapping) -> DatasetEntry:
        live = await self.get_tree(row["live_tree_id"]) if row["live_tree_id"] is not None else None
        return DatasetEntry(
            dataset_id=row["dataset_id"],
            name=row["name"],
            description=row["description"],
            space=space_from(row),
            vector_index=row["vector_index"],
            settings=row["settings"],
            documents=row["documents"],
            chunks=int(row["chunks"]),
            live_tree=live,
            generation=row["generation"] if live is not None else None,
            wanted_revision=row["wanted_revision"],
            built_revision=row["built_revision"],
            embedding_status=embedding_status(row),
            embedding_progress=row["embedded"] / row["total"] if row["total"] else 0.0,
            embedding_error=row["error"],
            documents_outside_tree=row["outside"],
            summaries=row["summaries"],
            summaries_waiting=row["waiting"],
            needs_key=row["needs_key"],
            usage={name: float(value) for name, value in row["usage"].items()},
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )

    async def list_indexes(self, after: tuple[str] | None, limit: int) -> list[IndexEntry]:
        rows = await self.all(
            f"select * from ({INDEXES}) i where cast(:after as text) is null or i.dataset_id > :after"
            " order by i.dataset_id limit :limit",
            after=after[0] if after else None,
            limit=limit,
        )
        valid = await self.all(
            """
            select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
            where i.indisvalid and c.relname = any(:names)
            """,
            names=[self._index_of(row) for row in rows],
        )
        indexed = {row["relname"] for row in valid}
        return [
            IndexEntry(
                dataset_id=row["dataset_id"],
                space=space_from(row),
                vectors=row["vectors"],
                vector_index=row["vector_index"],
                indexed=self._index_of(row) in indexed,
                dirty=row["dirty"],
                updated_at=row["updated_at"],
            )
            for row in rows
        ]

    async def total_indexes(self) -> IndexTotal:
        row = await self.first(
            f"""
            select count(*) as datasets, coalesce(sum(i.vectors), 0)::bigint as vectors,
                count(*) filter (where i.dirty) as dirty, max(i.updated_at) as updated_at from ({INDEXES}) i
            """
        )
        assert row is not None
        return IndexTotal(**row)

    def _index_of(self, row: RowMapping) -> str:
        return index_name(self.tenant, row["dataset_id"], space_from(row), row["vector_index"])


def embedding_status(row: RowMapping) -> Any:
    if row["running"]:
        return "running"
    if row["embedded"] < row["total"]:
        return "pending"
    if row["error"] is not None:
        return "failed"
    return "done" if row["total"] else "not_started"
