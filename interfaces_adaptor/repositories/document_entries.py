"""Documents, their versions and their chunks as clients see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.documents import chunk_from, chunking_from
from services.domain import (
    Chunk,
    Document,
    DocumentVersion,
)
from services.errors import AmbiguousDocument, DocumentNotFound


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A document with the state of its newest version; `text` only where one document was asked for."""

    document: Document
    status: str
    version_id: UUID | None
    chunks: int
    text: str | None = None


DOCUMENT = """
    select d.dataset_id, d.doc_id, d.file_name, d.title, d.source, d.tags, d.extra_meta, d.checksum, d.created_at,
        d.updated_at, d.deleted_at, v.version_id, v.state, v.chunk_count {text}
    from documents d
    left join lateral (
        select v.version_id, v.state, v.chunk_count from document_versions v
        where v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
        order by v.number desc limit 1
    ) v on true
    where d.tenant_id = :tenant and (d.deleted_at is null or :deleted)
"""


class DocumentEntries(UnitOfWork):
    async def list_documents(
        self, dataset_id: str, after: tuple[datetime, str] | None, limit: int
    ) -> list[DocumentEntry]:
        beyond, values = (
            ("", {})
            if after is None
            else (
                "and (d.created_at, d.doc_id) > (:at, :doc)",
                {"at": after[0], "doc": after[1]},
            )
        )
        rows = await self.all(
            f"{DOCUMENT.format(text='')} and d.dataset_id = :dataset {beyond}"
            " order by d.created_at, d.doc_id limit :limit",
            dataset=dataset_id,
            limit=limit,
            deleted=False,
            **values,
        )
        return [entry_from(row) for row in rows]

    async def describe_document(self, doc_id: str, dataset_id: str | None, *, deleted: bool = False) -> DocumentEntry:
        rows = await self.all(
            f"{DOCUMENT.format(text=', d.text')} and d.doc_id = :doc"
            " and (cast(:dataset as text) is null or d.dataset_id = :dataset) order by d.dataset_id limit 2",
            doc=doc_id,
            dataset=dataset_id,
            deleted=deleted,
        )
        if not rows:
            raise DocumentNotFound(doc_id=doc_id)
        if len(rows) > 1:
            raise AmbiguousDocument(doc_id=doc_id, datasets=[row["dataset_id"] for row in rows])
        return entry_from(rows[0], rows[0]["text"])

    async def list_versions(self, dataset_id: str, doc_id: str) -> list[DocumentVersion]:
        rows = await self.all(
            """
            select version_id, dataset_id, doc_id, number, state, checksum, embed_model, chunker, chunk_size,
                chunk_overlap, refine, build_tree, chunk_count, created_at, embedded_at, ready_at, superseded_at
            from document_versions where tenant_id = :tenant and dataset_id = :dataset and doc_id = :doc
            order by number desc
            """,
            dataset=dataset_id,
            doc=doc_id,
        )
        return [version_from(row) for row in rows]

    async def list_chunks(self, version_id: UUID, after: tuple[int] | None, limit: int) -> list[Chunk]:
        rows = await self.all(
            """
            select * from chunks where tenant_id = :tenant and version_id = :version and idx > :after
            order by idx limit :limit
            """,
            version=version_id,
            after=after[0] if after else -1,
            limit=limit,
        )
        return [chunk_from(row) for row in rows]


def entry_from(row: RowMapping, text: str | None = None) -> DocumentEntry:
    described = (
        *("dataset_id", "doc_id", "file_name", "title", "source", "tags", "extra_meta", "checksum"),
        *("created_at", "updated_at", "deleted_at"),
    )
    return DocumentEntry(
        document=Document(**{name: row[name] for name in described}),
        status=row["state"] or "indexing",
        version_id=row["version_id"],
        chunks=row["chunk_count"] or 0,
        text=text,
    )


def version_from(row: RowMapping) -> DocumentVersion:
    plain = {
        name: value for name, value in row.items() if name not in ("chunker", "chunk_size", "chunk_overlap", "refine")
    }
    return DocumentVersion(**plain, chunking=chunking_from(row))
