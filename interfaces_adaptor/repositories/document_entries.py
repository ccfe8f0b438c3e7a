"""Documents, their versions and their chunks as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import RowMapping

from infra.db.schema import chunks, document_versions
from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.versions import chunk_from, chunking_from
from services.documents import DocumentFilter, DocumentSort
from services.domain import Chunk, Document, DocumentVersion
from services.errors import AmbiguousDocument, DocumentNotFound

# Postgres' own limit is 1 GB.
LONGEST_TEXT = 2**30


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A document with the state of its newest version that was not replaced; `bytes` are those of its text in
    UTF-8."""

    document: Document
    status: str
    version_id: UUID | None
    chunks: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TextRange:
    """A document's text from character `start` to before `end`, of so many `characters`."""

    text: str
    start: int
    end: int
    characters: int


# What documents are sorted by. The size is read from the text's header; the text itself is not.
SORT_KEYS = {
    "created_at": ("d.created_at", "timestamptz"),
    "updated_at": ("d.updated_at", "timestamptz"),
    "title": ("coalesce(d.title, '')", "text"),
    "source": ("coalesce(d.source, '')", "text"),
    "bytes": ("octet_length(d.text)", "bigint"),
    "doc_id": ("d.doc_id", "text"),
}

# Documents with their newest version, of those that were not replaced (after a roll-back an older one is served).
FILTERED = """
    from documents d
    left join lateral (
        select v.version_id, v.state, v.chunk_count from document_versions v
        where v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
        order by v.state = 'superseded', v.number desc limit 1
    ) v on true
    cross join lateral (
        select case when d.deleted_at is not null then 'deleted' else coalesce(v.state, 'indexing') end as status
    ) s
    where d.tenant_id = :tenant and (d.deleted_at is null or :deleted)
        and (cast(:dataset as text) is null or d.dataset_id = :dataset)
        and (cast(:docs as text[]) is null or d.doc_id = any(:docs))
        and (cast(:tags as text[]) is null or jsonb_exists_any(d.tags, :tags))
        and (cast(:sources as text[]) is null or d.source = any(:sources))
        and (cast(:prefix as text) is null or starts_with(d.source, :prefix))
        and (cast(:states as text[]) is null or s.status = any(:states))
        and (cast(:title as text) is null or strpos(lower(d.title), lower(:title)) > 0)
"""
DESCRIBED = (
    *("dataset_id", "doc_id", "file_name", "title", "source", "tags", "extra_meta", "checksum"),
    *("created_at", "updated_at", "deleted_at"),
)
SHOWN = f"""
    select {", ".join(f"d.{name}" for name in DESCRIBED)}, v.version_id, v.chunk_count, s.status,
        octet_length(d.text) as bytes
"""


class DocumentEntries(UnitOfWork):
    async def list_documents(
        self, dataset_id: str, wanted: DocumentFilter, sort: DocumentSort, after: tuple[Any, str] | None, limit: int
    ) -> list[DocumentEntry]:
        key, kind = SORT_KEYS[sort.removeprefix("-")]
        beyond, order = ("<", "desc") if sort.startswith("-") else (">", "asc")
        after_key, after_doc = after or (None, "")
        rows = await self.all(
            f"""
            {SHOWN} {FILTERED}
                and (cast(:after as {kind}) is null or ({key}, d.doc_id) {beyond} (cast(:after as {kind}), :after_doc))
            order by {key} {order}, d.doc_id {order} limit :limit
            """,
            **condition(wanted, dataset_id, deleted="deleted" in (wanted.states or ())),
            after=after_key,
            after_doc=after_doc,
            limit=limit,
        )
        return [entry_from(row) for row in rows]

    async def find_documents(self, dataset_id: str, wanted: DocumentFilter, *, deleted: bool) -> list[str]:
        rows = await self.all(
            f"select d.doc_id {FILTERED} order by d.created_at, d.doc_id",
            **condition(wanted, dataset_id, deleted=deleted),
        )
        return [row["doc_id"] for row in rows]

    async def describe_document(self, doc_id: str, dataset_id: str | None, *, deleted: bool = False) -> DocumentEntry:
        rows = await self.all(
            f"{SHOWN} {FILTERED} limit 2", **condition(DocumentFilter(doc_ids=[doc_id]), dataset_id, deleted=deleted)
        )
        if not rows:
            raise DocumentNotFound(doc_id=doc_id)
        if len(rows) > 1:
            raise AmbiguousDocument(doc_id=doc_id, datasets=sorted(row["dataset_id"] for row in rows))
        return entry_from(rows[0])

    async def read_text(self, dataset_id: str, doc_id: str, start: int, end: int | None) -> TextRange:
        """What there is between `start` and `end`; without `end`, to the last character."""
        row = await self.first(
            """
            select substr(text, :first, :length) as text, length(text) as characters
            from documents where tenant_id = :tenant and dataset_id = :dataset and doc_id = :doc
            """,
            dataset=dataset_id,
            doc=doc_id,
            first=start + 1,
            length=(end if end is not None else LONGEST_TEXT) - start,
        )
        if row is None:
            raise DocumentNotFound(doc_id=doc_id)
        begin = min(start, row["characters"])
        return TextRange(row["text"], begin, begin + len(row["text"]), row["characters"])

    async def list_versions(
        self, dataset_id: str, doc_id: str, after: tuple[int] | None, limit: int
    ) -> list[DocumentVersion]:
        """The newest first."""
        of = document_versions.c
        of_it = self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == doc_id
        older = (of.number < after[0],) if after else ()
        rows = await self.all(select(document_versions).where(*of_it, *older).order_by(of.number.desc()).limit(limit))
        return [version_from(row) for row in rows]

    async def has_version(self, dataset_id: str, doc_id: str, version_id: UUID) -> bool:
        of = document_versions.c
        of_it = self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == doc_id
        return await self.first(select(of.version_id).where(*of_it, of.version_id == version_id)) is not None

    async def list_chunks(self, version_id: UUID, after: tuple[int] | None, limit: int) -> list[Chunk]:
        rows = await self.all(
            select(chunks)
            .where(self.own(chunks), chunks.c.version_id == version_id, chunks.c.idx > (after[0] if after else -1))
            .order_by(chunks.c.idx)
            .limit(limit)
        )
        return [chunk_from(row) for row in rows]


def condition(wanted: DocumentFilter, dataset_id: str | None, *, deleted: bool) -> dict[str, Any]:
    """What `FILTERED` binds."""
    return {
        "dataset": dataset_id,
        "deleted": deleted,
        "docs": listed(wanted.doc_ids),
        "tags": listed(wanted.tags),
        "sources": listed(wanted.sources),
        "prefix": wanted.source_prefix,
        "states": listed(wanted.states),
        "title": wanted.title,
    }


def listed(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values is not None else None


def sort_value(entry: DocumentEntry, sort: DocumentSort) -> Any:
    """What the entry is sorted by."""
    name = sort.removeprefix("-")
    return entry.bytes if name == "bytes" else getattr(entry.document, name) or ""


def entry_from(row: RowMapping) -> DocumentEntry:
    return DocumentEntry(
        document=Document(**{name: row[name] for name in DESCRIBED}),
        status=row["status"],
        version_id=row["version_id"],
        chunks=row["chunk_count"] or 0,
        bytes=row["bytes"],
    )


def version_from(row: RowMapping) -> DocumentVersion:
    plain = {name: row[name] for name in DocumentVersion.__dataclass_fields__ if name != "chunking"}
    return DocumentVersion(**plain, chunking=chunking_from(row))
