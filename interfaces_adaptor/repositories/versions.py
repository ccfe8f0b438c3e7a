"""Versions of documents and their chunks: brought in by a job, served, superseded, hidden."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from infra.db.schema import chunks, document_versions, documents
from infra.uow.unit_of_work import any_of, as_json
from interfaces_adaptor.repositories.dataset_lock import DatasetLock
from interfaces_adaptor.repositories.links import aliases_of
from services.domain import Chunk, ChunkingParams, JsonObject
from services.ingest.documents import NewVersion, PendingVersion, VersionToIndex
from services.text.passage_text import names_of


def chunking_from(row: RowMapping) -> ChunkingParams:
    return ChunkingParams(row["chunker"], row["chunk_size"], row["chunk_overlap"], row["refine"])


def chunk_from(row: RowMapping) -> Chunk:
    return Chunk(
        chunk_id=row["chunk_id"],
        doc_id=row["doc_id"],
        version_id=row["version_id"],
        idx=row["idx"],
        text=row["text"],
        start=row["start_char"],
        end=row["end_char"],
        heading_path=tuple(row["heading_path"]),
        token_cnt=row["token_cnt"],
        hash=row["hash"],
        meta=row["meta"],
    )


def names_from(row: RowMapping) -> tuple[str, ...]:
    return names_of(row["file_name"], row["source"], row["title"], aliases_of(row["aliases"]))


class Versions(DatasetLock):
    async def add_version(self, version: NewVersion) -> UUID:
        version_id, of = uuid.uuid4(), document_versions.c
        last = select(func.coalesce(func.max(of.number), 0)).where(
            self.own(document_versions), of.dataset_id == version.dataset_id, of.doc_id == version.doc_id
        )
        await self.execute(
            insert(document_versions).values(
                tenant_id=self.tenant,
                version_id=version_id,
                dataset_id=version.dataset_id,
                doc_id=version.doc_id,
                number=1 + last.scalar_subquery(),
                state="indexing",
                checksum=version.checksum,
                text=version.text,
                title=version.title,
                embed_model=version.embed_model,
                chunker=version.chunking.chunker,
                chunk_size=version.chunking.size,
                chunk_overlap=version.chunking.overlap,
                refine=version.chunking.refine,
                build_tree=version.build_tree,
            )
        )
        return version_id

    async def resume_version(self, version_id: UUID, *, build_tree: bool) -> None:
        of = document_versions.c
        await self.execute(
            update(document_versions)
            .where(self.own(document_versions), of.version_id == version_id)
            .values(
                build_tree=build_tree,
                state=case((of.state.in_(("failed", "superseded")), "indexing"), else_=of.state),
                superseded_at=None,
            )
        )

    async def assign_versions(self, version_ids: Sequence[UUID], job_id: UUID) -> None:
        await self.execute(
            update(document_versions)
            .where(self.own(document_versions), document_versions.c.version_id == any_of(version_ids))
            .values(job_id=job_id)
        )

    async def give_way(self, dataset_id: str, doc_id: str) -> list[UUID]:
        of = document_versions.c
        rows = await self.all(
            update(document_versions)
            .where(
                self.own(document_versions),
                of.dataset_id == dataset_id,
                of.doc_id == doc_id,
                of.state == "indexing",
                of.embedded_at.is_(None),
            )
            .values(state="superseded", superseded_at=func.now())
            .returning(of.job_id)
        )
        job_ids = {row["job_id"] for row in rows if row["job_id"] is not None}
        busy = await self.all(
            select(of.job_id).where(
                self.own(document_versions), of.job_id == any_of(list(job_ids)), of.state == "indexing"
            )
        )
        return sorted(job_ids - {row["job_id"] for row in busy})

    async def retire_served(self, dataset_id: str, doc_id: str) -> None:
        of = document_versions.c
        rows = await self.all(
            update(document_versions)
            .where(self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == doc_id, of.state == "ready")
            .values(state="superseded", superseded_at=func.now())
            .returning(of.version_id)
        )
        await self.hide([row["version_id"] for row in rows])

    async def versions_to_index(self, job_id: UUID) -> list[PendingVersion]:
        of = document_versions.c
        rows = await self.all(
            select(
                of.version_id,
                func.length(of.text).label("characters"),
                of.checksum,
                of.refine,
                of.embedded_at.is_not(None).label("embedded"),
                of.build_tree,
            )
            .where(
                self.own(document_versions),
                of.job_id == job_id,
                or_(of.state == "indexing", of.embedded_at.is_not(None)),
            )
            .order_by(of.created_at, of.version_id)
        )
        return [PendingVersion(**row) for row in rows]

    async def wishes_of(self, job_id: UUID) -> tuple[bool, bool]:
        of = document_versions.c
        row = await self.first(
            select(
                func.coalesce(func.bool_or(of.build_tree), False).label("for_tree"),
                func.coalesce(func.bool_or(of.refine == "llm"), False).label("refined"),
            ).where(self.own(document_versions), of.job_id == job_id, of.state != "superseded")
        )
        assert row is not None
        return row["for_tree"], row["refined"]

    async def texts_to_index(self, version_ids: Sequence[UUID]) -> list[VersionToIndex]:
        told = documents.c.file_name, documents.c.source, documents.c.extra_meta["aliases"].label("aliases")
        rows = await self.all(
            select(document_versions, *told)
            .join(
                documents,
                and_(
                    self.own(documents),
                    documents.c.dataset_id == document_versions.c.dataset_id,
                    documents.c.doc_id == document_versions.c.doc_id,
                ),
            )
            .where(self.own(document_versions), document_versions.c.version_id == any_of(version_ids))
        )
        plain = [name for name in VersionToIndex.__dataclass_fields__ if name not in ("chunking", "names")]
        found = {row["version_id"]: row for row in rows}
        return [
            VersionToIndex(chunking=chunking_from(row), names=names_from(row), **{name: row[name] for name in plain})
            for row in (found[version_id] for version_id in version_ids if version_id in found)
        ]

    async def chunks_of(self, version_ids: Sequence[UUID]) -> list[Chunk]:
        of_versions = self.own(chunks), chunks.c.version_id == any_of(version_ids)
        rows = await self.all(select(chunks).where(*of_versions).order_by(chunks.c.version_id, chunks.c.idx))
        return [chunk_from(row) for row in rows]

    async def served_chunks(self, dataset_id: str, chunk_ids: Sequence[UUID]) -> list[Chunk]:
        rows = await self.all(
            """
            select c.* from chunks c
            join document_versions v on v.tenant_id = c.tenant_id and v.version_id = c.version_id
            join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
            where c.tenant_id = :tenant and c.chunk_id = any(:chunks) and v.dataset_id = :dataset
                and v.state = 'ready' and d.deleted_at is null
            """,
            dataset=dataset_id,
            chunks=list(chunk_ids),
        )
        return [chunk_from(row) for row in rows]

    async def add_chunks(self, dataset_id: str, found: Sequence[Chunk]) -> None:
        await self.hold_dataset(dataset_id)
        columns = [
            *("chunk_id", "dataset_id", "doc_id", "version_id", "idx", "text", "start_char", "end_char"),
            *("heading_path", "token_cnt", "hash", "meta"),
        ]
        rows = (
            (
                *(chunk.chunk_id, dataset_id, chunk.doc_id, chunk.version_id, chunk.idx, chunk.text),
                *(chunk.start, chunk.end, list(chunk.heading_path), chunk.token_cnt, chunk.hash),
                as_json(dict(chunk.meta)),
            )
            for chunk in found
        )
        await self.copy("chunks", columns, rows)

    async def hold_chunks(self, dataset_id: str, chunk_ids: Collection[UUID]) -> set[UUID]:
        await self.hold_dataset(dataset_id)
        rows = await self.all(
            select(chunks.c.chunk_id).where(self.own(chunks), chunks.c.chunk_id == any_of(list(chunk_ids)))
        )
        return {row["chunk_id"] for row in rows}

    async def mark_embedded(self, dataset_id: str, version_ids: Sequence[UUID]) -> None:
        await self.hold_dataset(dataset_id)
        of = document_versions.c
        count = (
            select(func.count())
            .where(self.own(chunks), chunks.c.version_id == of.version_id)
            .correlate(document_versions)
            .scalar_subquery()
        )
        await self.execute(
            update(document_versions)
            .where(self.own(document_versions), of.version_id == any_of(version_ids))
            .values(chunk_count=count, embedded_at=func.coalesce(of.embedded_at, func.now()))
        )

    async def refinement_figures(self, job_id: UUID) -> JsonObject:
        row = await self.first(
            """
            select count(*) as chunks, coalesce(sum(jsonb_array_length(c.meta -> 'dropped')), 0)::int as dropped,
                coalesce(sum((
                    select sum((span ->> 1)::int - (span ->> 0)::int)
                    from jsonb_array_elements(c.meta -> 'dropped') as span
                )), 0)::int as dropped_characters,
                count(*) filter (where c.meta ? 'refinement') as skipped_chunks
            from document_versions v
            join chunks c on c.tenant_id = v.tenant_id and c.version_id = v.version_id
            where v.tenant_id = :tenant and v.job_id = :job and v.state in ('indexing', 'ready')
            """,
            job=job_id,
        )
        assert row is not None
        return dict(row)

    async def fail_versions(self, job_id: UUID) -> None:
        of = document_versions.c
        await self.execute(
            update(document_versions)
            .where(self.own(document_versions), of.job_id == job_id, of.state == "indexing", of.embedded_at.is_(None))
            .values(state="failed")
        )

    async def serve_new(self, version_ids: Collection[UUID]) -> None:
        rows = await self.all(
            """
            select v.version_id from document_versions v
            where v.tenant_id = :tenant and v.version_id = any(:ids) and v.state = 'indexing' and not exists (
                select from document_versions served
                where served.tenant_id = v.tenant_id and served.dataset_id = v.dataset_id
                    and served.doc_id = v.doc_id and served.state = 'ready'
            )
            """,
            ids=list(version_ids),
        )
        await self.serve_versions([row["version_id"] for row in rows])

    async def serve_versions(self, version_ids: Collection[UUID]) -> None:
        ids: Any = list(version_ids)
        # A version that was resumed after a newer one was served comes too late.
        await self.execute(
            """
            update document_versions v set state = 'superseded', superseded_at = now()
            from document_versions newer
            where v.tenant_id = :tenant and v.version_id = any(:ids) and v.state = 'indexing'
                and newer.tenant_id = v.tenant_id and newer.dataset_id = v.dataset_id and newer.doc_id = v.doc_id
                and newer.number > v.number and newer.state = 'ready'
            """,
            ids=ids,
        )
        # Of several versions of one document that were embedded meanwhile, the newest serves.
        newest = """
            select distinct on (dataset_id, doc_id) version_id, dataset_id, doc_id, number, checksum, text, title
            from document_versions
            where tenant_id = :tenant and version_id = any(:ids) and state in ('indexing', 'ready')
            order by dataset_id, doc_id, number desc
        """
        await self.execute(
            f"""
            with newest as ({newest})
            update document_versions v set state = 'superseded', superseded_at = now()
            from newest n
            where v.tenant_id = :tenant and v.dataset_id = n.dataset_id and v.doc_id = n.doc_id
                and v.number < n.number and v.state in ('ready', 'indexing')
            """,
            ids=ids,
        )
        await self.execute(
            f"""
            with newest as ({newest})
            update documents d set text = n.text, checksum = n.checksum, title = n.title, updated_at = now()
            from newest n
            where d.tenant_id = :tenant and d.dataset_id = n.dataset_id and d.doc_id = n.doc_id
                and d.checksum <> n.checksum
            """,
            ids=ids,
        )
        await self.execute(
            """
            update document_versions set state = 'ready', ready_at = now()
            where tenant_id = :tenant and version_id = any(:ids) and state = 'indexing'
            """,
            ids=ids,
        )
        gone = await self.all(
            """
            select gone.version_id from document_versions took join document_versions gone
                on gone.tenant_id = took.tenant_id and gone.dataset_id = took.dataset_id and gone.doc_id = took.doc_id
            where took.tenant_id = :tenant and took.version_id = any(:ids) and gone.state = 'superseded'
            """,
            ids=ids,
        )
        await self.hide([row["version_id"] for row in gone])

    async def hide(self, versions: Sequence[UUID]) -> None:
        """Whatever was written from these versions' text must not be found any more, nor the text itself."""
        await self.execute(
            """
            update tree_nodes n set stale = true from chunks c, tree_node_chunks p
            where c.tenant_id = :tenant and c.version_id = any(:versions)
                and p.tenant_id = c.tenant_id and p.chunk_id = c.chunk_id
                and n.tenant_id = p.tenant_id and n.tree_id = p.tree_id and n.node_id = p.node_id and not n.stale
            """,
            versions=versions,
        )
        await self.execute(
            """
            update tree_nodes n set stale = true from chunks c
            where c.tenant_id = :tenant and c.version_id = any(:versions)
                and n.tenant_id = c.tenant_id and n.chunk_id = c.chunk_id and not n.stale
            """,
            versions=versions,
        )
