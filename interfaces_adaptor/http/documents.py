"""Documents, their versions and their chunks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from interfaces_adaptor.http.dependencies import Cursor, Limit, ServicesOf, TenantOf, cursor_after, position_of
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.documents import DocumentOut, DocumentWithText, VersionOut
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.jobs import JobStarted
from interfaces_adaptor.http.schemas.trees import ChunkOut
from services.errors import DocumentNotFound

router = APIRouter(prefix="/v1/documents", tags=["documents"])

WhichDataset = Annotated[
    str | None,
    Query(description="The document's dataset; needed if several have a document with this id.", max_length=200),
]


@router.get("", response_model=Envelope[Page[DocumentOut]])
async def list_documents(
    services: ServicesOf, tenant: TenantOf, dataset_id: str, limit: Limit = 100, cursor: Cursor = None
) -> Any:
    after = position_of(cursor, datetime.fromisoformat, str)
    async with services.open_storage(tenant, snapshot=True) as work:
        await work.get_dataset(dataset_id)
        found = await work.list_documents(dataset_id, after, limit)
    end = found[-1].document if len(found) == limit else None
    last = [end.created_at, end.doc_id] if end is not None else None
    return Envelope(data=Page(items=[DocumentOut.of(entry) for entry in found], next_cursor=cursor_after(last)))


@router.get("/{doc_id}", response_model=Envelope[DocumentWithText])
async def read_document(doc_id: str, services: ServicesOf, tenant: TenantOf, dataset_id: WhichDataset = None) -> Any:
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
    return Envelope(data=DocumentWithText.of(entry, text=entry.text))


@router.get("/{doc_id}/versions", response_model=Envelope[Page[VersionOut]])
async def list_versions(doc_id: str, services: ServicesOf, tenant: TenantOf, dataset_id: WhichDataset = None) -> Any:
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
        versions = await work.list_versions(entry.document.dataset_id, doc_id)
    return Envelope(data=Page(items=[VersionOut.of(version) for version in versions]))


@router.get("/{doc_id}/chunks", response_model=Envelope[Page[ChunkOut]])
async def list_chunks(
    doc_id: str,
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: WhichDataset = None,
    version_id: Annotated[UUID | None, Query(description="A version other than the newest.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    after = position_of(cursor, int)
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id)
        versions = await work.list_versions(entry.document.dataset_id, doc_id)
        chosen = version_id or entry.version_id
        if chosen not in {version.version_id for version in versions}:
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
    dataset_id: WhichDataset = None,
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
    request: Request, doc_id: str, services: ServicesOf, tenant: TenantOf, dataset_id: WhichDataset = None
) -> Any:
    """What was deleted without `hard` is back: at once what the live tree still holds of it, with its summaries, and
    the rest with the tree that the job builds. A document that is not deleted stays as it is, and `job_id` is null."""
    async with services.open_storage(tenant, snapshot=True) as work:
        entry = await work.describe_document(doc_id, dataset_id, deleted=True)
    found_in = entry.document.dataset_id
    job_id = await services.lifecycle.undelete_document(tenant, found_in, doc_id, keys_of(request))
    return Envelope(data=JobStarted(job_id=job_id, dataset_id=found_in))
