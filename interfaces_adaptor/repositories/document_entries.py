"""Documents, their versions and their chunks as clients see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import RowMapping

from infra.db.schema import chunks, document_versions
from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.versions import chunk_from, chunking_from
from services.domain import Chunk, Document, DocumentVersion
from services.errors import AmbiguousDocument, DocumentNotFound


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A document with the state of its newest version that was not replaced; `text` only where one document was asked
    for."""

    document: Document
    status: str
    version_id: UUID | None
    chunks: int
    newest_checksum: str
    text: str | None = None


# Documents with their newest version, of those that were not replaced (after a roll-back an older one is served). The
# text is long, and wanted of a single one only.
DOCUMENTS = """
    select d.dataset_id, d.doc_id, d.file_name, d.title, d.source, d.tags, d.extra_meta, d.checksum, d.created_at,
        d.updated_at, d.deleted_at, d.identity, d.synced, v.version_id, v.state, v.chunk_count,
        coalesce(v.checksum, d.checksum) as newest_checksum,
        case when cast(:doc as text) is not null then d.text end as text
    from documents d
    left join lateral (
        select v.version_id, v.state, v.chunk_count, v.checksum from document_versions v
        where v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
        order by v.state = 'superseded', v.number desc limit 1
    ) v on true
    where d.tenant_id = :tenant and (d.deleted_at is null or :deleted)
        and (cast(:dataset as text) is null or d.dataset_id = :dataset)
        and (cast(:doc as text) is null or d.doc_id = :doc)
        and (cast(:after_time as timestamptz) is null or (d.created_at, d.doc_id) > (:after_time, :after_doc))
    order by d.created_at, d.doc_id, d.dataset_id limit :limit
"""


class DocumentEntries(UnitOfWork):
    async def list_documents(
        self, dataset_id: str, after: tuple[datetime, str] | None, limit: int
    ) -> list[DocumentEntry]:
        after_time, after_doc = after or (None, "")
        rows = await self.all(
            DOCUMENTS,
            dataset=dataset_id,
            doc=None,
            deleted=False,
            after_time=after_time,
            after_doc=after_doc,
            limit=limit,
        )
        return [entry_from(row) for row in rows]

    async def describe_document(self, doc_id: str, dataset_id: str | None, *, deleted: bool = False) -> DocumentEntry:
        rows = await self.all(
            DOCUMENTS, dataset=dataset_id, doc=doc_id, deleted=deleted, after_time=None, after_doc="", limit=2
        )
        if not rows:
            raise DocumentNotFound(doc_id=doc_id)
        if len(rows) > 1:
            raise AmbiguousDocument(doc_id=doc_id, datasets=sorted(row["dataset_id"] for row in rows))
        return entry_from(rows[0])

    async def list_versions(self, dataset_id: str, doc_id: str) -> list[DocumentVersion]:
        of = document_versions.c
        rows = await self.all(
            select(document_versions)
            .where(self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == doc_id)
            .order_by(of.number.desc())
        )
        return [version_from(row) for row in rows]

    async def list_chunks(self, version_id: UUID, after: tuple[int] | None, limit: int) -> list[Chunk]:
        rows = await self.all(
            select(chunks)
            .where(self.own(chunks), chunks.c.version_id == version_id, chunks.c.idx > (after[0] if after else -1))
            .order_by(chunks.c.idx)
            .limit(limit)
        )
        return [chunk_from(row) for row in rows]


def entry_from(row: RowMapping) -> DocumentEntry:
    described = (
        *("dataset_id", "doc_id", "file_name", "title", "source", "tags", "extra_meta", "checksum"),
        *("created_at", "updated_at", "deleted_at", "identity", "synced"),
    )
    return DocumentEntry(
        document=Document(**{name: row[name] for name in described}),
        status=row["state"] or "indexing",
        version_id=row["version_id"],
        chunks=row["chunk_count"] or 0,
        newest_checksum=row["newest_checksum"],
        text=row["text"],
    )


def version_from(row: RowMapping) -> DocumentVersion:
    plain = {name: row[name] for name in DocumentVersion.__dataclass_fields__ if name != "chunking"}
    return DocumentVersion(**plain, chunking=chunking_from(row))
