"""Documents, their versions and their chunks: one aggregate."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from infra.db.schema import chunks, document_versions, documents, embeddings
from infra.uow.unit_of_work import any_of, as_json
from interfaces_adaptor.repositories.erasure import Erasure
from interfaces_adaptor.repositories.generations import Generations
from interfaces_adaptor.repositories.links import Links, aliases_of
from interfaces_adaptor.repositories.postings import Postings
from services.domain import Chunk, ChunkingParams, JsonObject
from services.errors import DocumentNotFound
from services.filter_fields import filter_fields
from services.ingest.documents import NewDocument, NewVersion, PendingVersion, StoredDocument, VersionToIndex
from services.text.passage_text import names_of

DESCRIBED = ("dataset_id", "doc_id", "identity", "file_name", "title", "source", "checksum", "text")

STORED = """
    select d.dataset_id, d.doc_id, d.deleted_at, v.version_id, v.checksum, v.chunker, v.chunk_size, v.chunk_overlap,
        v.refine, v.embed_model, v.chunk_count, v.state,
        exists (
            select from datasets s join tree_nodes n on n.tenant_id = s.tenant_id and n.tree_id = s.live_tree_id
            join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
            where s.tenant_id = d.tenant_id and s.dataset_id = d.dataset_id and c.version_id = v.version_id
        ) as in_live_tree,
        (
            select j.job_id from jobs j
            where j.tenant_id = v.tenant_id and j.job_id = v.job_id and j.status in ('queued', 'running')
        ) as open_job_id
    from documents d
    join lateral (
        select * from document_versions v
        where v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
        order by v.state = 'superseded', v.number desc limit 1
    ) v on true
"""


def identity_hash(identity: str) -> bytes:
    return hashlib.sha256(identity.encode()).digest()


def chunking_from(row: RowMapping) -> ChunkingParams:
    return ChunkingParams(row["chunker"], row["chunk_size"], row["chunk_overlap"], row["refine"])


def stored_from(row: RowMapping) -> StoredDocument:
    return StoredDocument(
        dataset_id=row["dataset_id"],
        doc_id=row["doc_id"],
        deleted=row["deleted_at"] is not None,
        version_id=row["version_id"],
        checksum=row["checksum"],
        chunking=chunking_from(row),
        embed_model=row["embed_model"],
        chunk_count=row["chunk_count"],
        served=row["state"] == "ready",
        in_live_tree=row["in_live_tree"],
        open_job_id=row["open_job_id"],
    )


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


class Documents(Generations, Postings, Links, Erasure):
    async def find_document(self, dataset_id: str, identity: str) -> StoredDocument | None:
        # A doc_id finds the document however it came to be; a source or file name only what was uploaded under it.
        kind, _, value = identity.partition(":")
        condition = "d.doc_id = :doc" if kind == "id" else "d.identity_hash = :hash"
        row = await self.first(
            f"{STORED} where d.tenant_id = :tenant and d.dataset_id = :dataset and {condition}",
            dataset=dataset_id,
            **({"doc": value} if kind == "id" else {"hash": identity_hash(identity)}),
        )
        return stored_from(row) if row else None

    async def find_checksum(self, dataset_id: str, checksum: str) -> StoredDocument | None:
        row = await self.first(
            f"{STORED} where d.tenant_id = :tenant and d.dataset_id = :dataset and d.deleted_at is null"
            " and v.checksum = :checksum and v.state in ('ready', 'indexing') order by d.created_at limit 1",
            dataset=dataset_id,
            checksum=checksum,
        )
        return stored_from(row) if row else None

    async def put_document(self, document: NewDocument) -> None:
        values = {name: getattr(document, name) for name in DESCRIBED}
        added = insert(documents).values(
            tenant_id=self.tenant,
            identity_hash=identity_hash(document.identity),
            tags=list(document.tags),
            extra_meta=dict(document.extra_meta),
            fields=filter_fields(document.source, document.title, document.tags, document.extra_meta),
            **values,
        )
        stored = await self.first(
            added.on_conflict_do_update(
                index_elements=["tenant_id", "dataset_id", "doc_id"],
                set_={
                    "file_name": func.coalesce(added.excluded.file_name, documents.c.file_name),
                    "source": func.coalesce(added.excluded.source, documents.c.source),
                    "tags": added.excluded.tags,
                    "extra_meta": added.excluded.extra_meta,
                    "fields": func.jsonb_strip_nulls(
                        func.jsonb_build_object("source", documents.c.fields["source"])
                    ).op("||")(added.excluded.fields),
                    "updated_at": func.now(),
                    "deleted_at": None,
                },
            ).returning(documents.c.file_name, documents.c.source)
        )
        assert stored is not None
        aliases = aliases_of(document.extra_meta.get("aliases"))
        await self.put_links(
            document.dataset_id, document.doc_id, stored["file_name"], stored["source"], aliases, document.links
        )

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

    async def delete_document(self, dataset_id: str, doc_id: str, *, hard: bool) -> None:
        await self.lock_dataset(dataset_id)
        is_it = self.own(documents), documents.c.dataset_id == dataset_id, documents.c.doc_id == doc_id
        there = () if hard else (documents.c.deleted_at.is_(None),)
        gone = await self.first(
            update(documents)
            .where(*is_it, *there)
            .values(deleted_at=func.coalesce(documents.c.deleted_at, func.now()), updated_at=func.now())
            .returning(documents.c.doc_id)
        )
        if gone is None:
            raise DocumentNotFound(doc_id=doc_id)
        of = document_versions.c
        rows = await self.all(
            select(of.version_id).where(self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == doc_id)
        )
        versions = [row["version_id"] for row in rows]
        await self.hide(versions)
        if hard:
            await self._erase(dataset_id, doc_id, versions)

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

    async def _erase(self, dataset_id: str, doc_id: str, versions: Sequence[UUID]) -> None:
        """Text, chunks and vectors of the document, the summaries made from it and their vectors, what was paid for
        them."""
        await self.erase_results(dataset_id, doc_id)
        await self.abandon_builds(versions)
        await self.erase_generations(dataset_id)
        written = """
            select distinct p.tree_id, p.node_id from chunks c
            join tree_node_chunks p on p.tenant_id = c.tenant_id and p.chunk_id = c.chunk_id
            where c.tenant_id = :tenant and c.version_id = any(:versions)
        """
        await self.remove_postings_written_from(versions)
        await self.remove_postings(versions)
        await self.execute(
            f"""
            delete from embeddings e using ({written}) w
            where e.tenant_id = :tenant and e.generation_id = w.tree_id and e.owner_id = w.node_id
            """,
            versions=versions,
        )
        await self.execute(
            f"""
            update tree_nodes n set text = '', title = null, meta = '{{}}'::jsonb from ({written}) w
            where n.tenant_id = :tenant and n.tree_id = w.tree_id and n.node_id = w.node_id and n.text is not null
            """,
            versions=versions,
        )
        await self.execute(delete(embeddings).where(self.own(embeddings), embeddings.c.generation_id.in_(versions)))
        await self.execute(
            delete(documents).where(
                self.own(documents), documents.c.dataset_id == dataset_id, documents.c.doc_id == doc_id
            )
        )
