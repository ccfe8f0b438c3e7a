"""Documents, their versions and their chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request

from interfaces_adaptor.http.dependencies import (
    AnyDataset,
    Cursor,
    DatasetOf,
    Limit,
    ServicesOf,
    TenantOf,
    cursor_after,
    position_of,
)
from interfaces_adaptor.http.fields import checked_dataset_id, checked_meta, checked_tags, checked_text
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.retrieval import checked_string, strings
from interfaces_adaptor.http.schemas.documents import (
    DeleteDocumentsBody,
    DocumentFilterBody,
    DocumentOut,
    DocumentPatch,
    DocumentsDeleted,
    DocumentWithText,
    SourcePrefix,
    VersionOut,
)
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.jobs import JobStarted
from interfaces_adaptor.http.schemas.trees import ChunkOut
from interfaces_adaptor.repositories.document_entries import sort_value
from services.documents import DocumentChange, DocumentFilter, DocumentSort, DocumentState
from services.errors import DocumentNotFound, InvalidRequest

router = APIRouter(prefix="/v1/documents", tags=["documents"])

FIRST_DELETED = 20

Tags = Annotated[list[str], Query(description="Documents with any of these.", max_length=64)]
States = Annotated[list[DocumentState], Query(description="`deleted` lists what can be undeleted.")]


@router.get("", response_model=Envelope[Page[DocumentOut]])
async def list_documents(
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: DatasetOf,
    tags: Tags = [],  # noqa: B006
    source_prefix: Annotated[str | None, Query(min_length=1, max_length=2_000)] = None,
    state: States = [],  # noqa: B006
    title: Annotated[str | None, Query(min_length=1, max_length=1_000, description="A part of it.")] = None,
    sort: Annotated[DocumentSort, Query(description="`-` in front: the largest or latest first.")] = "created_at",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    wanted = DocumentFilter(
        tags=strings("tags", tags) or None,
        source_prefix=printable("source_prefix", source_prefix),
        states=state or None,
        title=printable("title", title),
    )
    after = position_of(cursor, same(sort), SORT_VALUES.get(sort.removeprefix("-"), str), str)
    async with services.open_storage(tenant, snapshot=True) as work:
        await work.get_dataset(dataset_id)
        found = await work.list_documents(dataset_id, wanted, sort, after[1:] if after else None, limit)
    end = found[-1] if len(found) == limit else None
    last = [sort, sort_value(end, sort), end.document.doc_id] if end is not None else None
    return Envelope(data=Page(items=[DocumentOut.of(entry) for entry in found], next_cursor=cursor_after(last)))


@router.post("/delete", response_model=Envelope[DocumentsDeleted], summary="Delete the documents that a filter chooses")
async def delete_documents(
    request: Request,
    services: ServicesOf,
    tenant: TenantOf,
    body: DeleteDocumentsBody,
    x_dataset_id: Annotated[str | None, Header()] = None,
) -> Any:
    """All of them or none, in one transaction and with one build; each as `DELETE /v1/documents/{doc_id}` does it. Look
    first, with `dry_run`. Keys for the build come in `X-BYOK-*` headers."""
    dataset_id = checked_dataset_id(body.dataset_id, body.database_id, x_dataset_id)
    done = await services.lifecycle.delete_matching(
        tenant, dataset_id, filter_from(body.filter), keys_of(request), hard=body.hard, dry_run=body.dry_run
    )
    return Envelope(
        data=DocumentsDeleted(
            dataset_id=dataset_id,
            dry_run=body.dry_run,
            documents=len(done.doc_ids),
            doc_ids=list(done.doc_ids[:FIRST_DELETED]),
            job_id=done.job_id,
        )
    )


@router.get("/{doc_id}", response_model=Envelope[DocumentWithText])
async def read_document(
    doc_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: AnyDataset,
    start: Annotated[int, Query(ge=0, lt=2**30, description="First character of the text to be read.")] = 0,
    end: Annotated[int | None, Query(ge=0, lt=2**30, description="The character after the last one.")] = None,
) -> Any:
    if end is not None and end < start:
        raise InvalidRequest("`end` must not be smaller than `start`.", field="end")
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
        read = await work.read_text(entry.document.dataset_id, doc_id, start, end)
    return Envelope(data=DocumentWithText.of(entry, **asdict(read)))


@router.patch("/{doc_id}", response_model=Envelope[DocumentOut], summary="Change tags, metadata and source")
async def change_document(
    doc_id: str, services: ServicesOf, tenant: TenantOf, dataset_id: AnyDataset, body: DocumentPatch
) -> Any:
    """At once: filters go by it when this call returns, and nothing is built or paid. A document that is known by its
    source, because it was uploaded without a `doc_id`, is from now on known by the new one, or without one by its id.
    A source by which another document is known is refused with 409."""
    change = DocumentChange(
        {name: value for name, value in checked_patch(body).items() if name in body.model_fields_set}
    )
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
    found_in = entry.document.dataset_id
    await services.documents.change(tenant, found_in, doc_id, change)
    async with services.open_storage(tenant, snapshot=True) as work:
        return Envelope(data=DocumentOut.of(await work.describe_document(doc_id, found_in)))


@router.get("/{doc_id}/versions", response_model=Envelope[Page[VersionOut]])
async def list_versions(
    doc_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: AnyDataset,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """The newest first."""
    after = position_of(cursor, int)
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
        found = await work.list_versions(entry.document.dataset_id, doc_id, after, limit)
    last = [found[-1].number] if len(found) == limit else None
    return Envelope(data=Page(items=[VersionOut.of(version) for version in found], next_cursor=cursor_after(last)))


@router.get("/{doc_id}/chunks", response_model=Envelope[Page[ChunkOut]])
async def list_chunks(
    doc_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: AnyDataset,
    version_id: Annotated[UUID | None, Query(description="A version other than the newest.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    after = position_of(cursor, int)
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
        chosen = version_id or entry.version_id
        if chosen is None or not await work.has_version(entry.document.dataset_id, doc_id, chosen):
            raise DocumentNotFound("The document has no such version.", doc_id=doc_id)
        found = await work.list_chunks(chosen, after, limit)
    last = [found[-1].idx] if len(found) == limit else None
    return Envelope(data=Page(items=[ChunkOut.of(chunk) for chunk in found], next_cursor=cursor_after(last)))


@router.delete("/{doc_id}", response_model=Envelope[JobStarted], summary="Delete a document")
async def delete_document(
    request: Request,
    doc_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: AnyDataset,
    hard: Annotated[
        bool, Query(description="Erase the text, chunks, vectors and the summaries made from them.")
    ] = False,
) -> Any:
    """The document and every summary made from its text no longer appear in retrieval once this call returns; a job
    writes those summaries anew, on the keys in `X-BYOK-*` headers or the service's own. Without a key for a model
    that could, `job_id` is null, and the dataset says `needs_key`. A document deleted without `hard` can be brought
    back (`undelete`), or still be erased with it; erasing also removes what models were paid to write from it, and
    cancels uploads of it that have not ended."""
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id, deleted=hard)
    found_in = entry.document.dataset_id
    job_id = await services.lifecycle.delete_document(tenant, found_in, doc_id, keys_of(request), hard=hard)
    return Envelope(data=JobStarted(job_id=job_id, dataset_id=found_in))


@router.post("/{doc_id}/undelete", response_model=Envelope[JobStarted], summary="Bring a deleted document back")
async def undelete_document(
    request: Request, doc_id: str, services: ServicesOf, tenant: TenantOf, dataset_id: AnyDataset
) -> Any:
    """What was deleted without `hard` is back: at once what the live tree still holds of it, with its summaries, and
    the rest with the tree that the job builds. A document that is not deleted stays as it is, and `job_id` is null."""
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id, deleted=True)
    found_in = entry.document.dataset_id
    job_id = await services.lifecycle.undelete_document(tenant, found_in, doc_id, keys_of(request))
    return Envelope(data=JobStarted(job_id=job_id, dataset_id=found_in))


# How a cursor's sort value is read; the others are texts.
SORT_VALUES: dict[str, Callable[[Any], Any]] = {
    "created_at": datetime.fromisoformat,
    "updated_at": datetime.fromisoformat,
    "bytes": int,
}


def same(sort: DocumentSort) -> Callable[[Any], Any]:
    """A cursor is good for the order that it was given in."""

    def parse(value: Any) -> Any:
        if value != sort:
            raise ValueError("another order's cursor")
        return value

    return parse


def printable(name: str, value: str | None) -> str | None:
    return checked_string(name, value) if value is not None else None


def filter_from(body: DocumentFilterBody) -> DocumentFilter:
    """Raises InvalidRequest."""
    prefix = body.source.prefix if isinstance(body.source, SourcePrefix) else None
    return DocumentFilter(
        doc_ids=named("filter.doc_id", body.doc_id),
        tags=named("filter.tags", body.tags),
        sources=named("filter.source", body.source) if not isinstance(body.source, SourcePrefix) else None,
        source_prefix=printable("filter.source", prefix),
        states=[body.state] if isinstance(body.state, str) else body.state,
        title=printable("filter.title", body.title),
    )


def named(name: str, value: str | list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else strings(name, value)


def checked_patch(body: DocumentPatch) -> dict[Any, Any]:
    """Raises InvalidRequest, InvalidExtraMeta."""
    return {
        "tags": checked_tags(body.tags) if body.tags is not None else None,
        "meta": checked_meta(body.meta) if body.meta is not None else None,
        "source": checked_text("source", body.source, 2_000) if body.source else None,
    }
