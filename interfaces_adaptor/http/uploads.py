"""Many documents that belong together: begun, filled, committed; or all in one request."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from interfaces_adaptor.http.dependencies import Services, ServicesOf, TenantOf
from interfaces_adaptor.http.fields import checked_dataset_id, checked_text
from interfaces_adaptor.http.ingest import finished, wait_of
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.schemas.uploads import (
    BatchBody,
    BatchOut,
    CommitBody,
    UploadBody,
    UploadFileForm,
    UploadOut,
    UploadTextBody,
)
from interfaces_adaptor.http.uploaded import (
    IngestLimits,
    media_type_of,
    model_from_form,
    model_from_json,
    options_of,
    upload_from_file,
    upload_from_text,
)
from services.domain import TenantId
from services.errors import InvalidRequest, UnsupportedMediaType
from services.ingest.sync_changes import Changes, Move
from services.ingest.upload import Upload
from services.ingest.uploads import Committed, with_options

router = APIRouter(tags=["documents"])

Prefer = Annotated[str | None, Header(description="`wait=N`: wait at most N seconds for the job (RFC 7240).")]


@router.post(
    "/v1/documents/batch",
    status_code=202,
    response_model=Envelope[BatchOut],
    responses={200: {"model": Envelope[BatchOut]}},
    summary="Add many documents at once",
)
async def add_batch(
    request: Request, response: Response, services: ServicesOf, tenant: TenantOf, body: BatchBody, prefer: Prefer = None
) -> Any:
    """All of them or none, in one job with one build. For more than fit into one request, begin an upload."""
    limits: IngestLimits = request.app.state.ingest_limits
    dataset_id = checked_dataset_id(body.dataset_id, body.database_id, request.headers.get("x-dataset-id"))
    options, keys, budget = options_of(body, limits), keys_of(request, body), body.budget
    documents = [with_options(upload_from_text(document, limits), options) for document in body.documents]
    uploads = [replace(document, dataset_id=dataset_id, keys=keys, budget=budget) for document in documents]
    refuse_twins(uploads)
    accepted, job_id = await services.ingestor.ingest_all(tenant, uploads)
    return await answered(services, tenant, Committed(dataset_id, accepted, job_id), prefer, limits, response)


@router.post(
    "/v1/datasets/{dataset_id}/uploads",
    status_code=201,
    response_model=Envelope[UploadOut],
    summary="Begin an upload of many documents",
)
async def begin_upload(
    request: Request, dataset_id: str, services: ServicesOf, tenant: TenantOf, body: UploadBody | None = None
) -> Any:
    """Add documents to it and commit it: they are then processed in one job and become visible together. The dataset
    need not exist."""
    limits: IngestLimits = request.app.state.ingest_limits
    options = options_of(body or UploadBody(), limits)
    begun = await services.uploads.begin(tenant, checked_dataset_id(dataset_id, None, None), options)
    return Envelope(code=201, data=UploadOut.of(begun))


@router.post(
    "/v1/uploads/{upload_id}/documents",
    status_code=201,
    response_model=Envelope[UploadOut],
    summary="Add a document to an upload, as multipart or JSON",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": UploadTextBody.model_json_schema()},
                "multipart/form-data": {"schema": UploadFileForm.model_json_schema()},
            },
        }
    },
)
async def add_to_upload(request: Request, upload_id: UUID, services: ServicesOf, tenant: TenantOf) -> Any:
    """What cannot be read is refused here; the upload goes on without it. A document stands in an upload once."""
    limits: IngestLimits = request.app.state.ingest_limits
    kind = media_type_of(request)
    if kind == "multipart/form-data":
        async with request.form() as fields:
            upload = await upload_from_file(model_from_form(UploadFileForm, fields), limits)
    elif kind == "application/json":
        upload = upload_from_text(await model_from_json(UploadTextBody, request), limits)
    else:
        raise UnsupportedMediaType("Send multipart/form-data with the field `file`, or application/json with `text`.")
    return Envelope(code=201, data=UploadOut.of(await services.uploads.add(tenant, upload_id, upload)))


@router.post(
    "/v1/uploads/{upload_id}/commit",
    status_code=202,
    response_model=Envelope[BatchOut],
    responses={200: {"model": Envelope[BatchOut]}},
    summary="Process an upload: one job, one build",
)
async def commit_upload(
    request: Request,
    response: Response,
    upload_id: UUID,
    services: ServicesOf,
    tenant: TenantOf,
    body: CommitBody | None = None,
    prefer: Prefer = None,
) -> Any:
    limits: IngestLimits = request.app.state.ingest_limits
    body = body or CommitBody()
    keys, changes = keys_of(request, body), changes_of(body)
    committed = await services.uploads.commit(tenant, upload_id, keys, body.budget, changes)
    return await answered(services, tenant, committed, prefer, limits, response)


@router.delete("/v1/uploads/{upload_id}", status_code=204, summary="Discard an upload that is not committed")
async def discard_upload(upload_id: UUID, services: ServicesOf, tenant: TenantOf) -> Response:
    await services.uploads.discard(tenant, upload_id)
    return Response(status_code=204)


async def answered(
    services: Services,
    tenant: TenantId,
    committed: Committed,
    prefer: str | None,
    limits: IngestLimits,
    response: Response,
) -> Envelope[BatchOut]:
    """200 where nothing was to be done or the job has ended while the caller waited for it, else 202."""
    job = None
    if committed.job_id is not None:
        job = await finished(services, tenant, committed.job_id, wait_of(prefer or "respond-async", limits.wait_s))
        response.headers["Location"] = f"/v1/jobs/{committed.job_id.hex}"
    response.status_code = 202 if committed.job_id is not None and job is None else 200
    return Envelope(code=response.status_code, data=BatchOut.of(committed, job))


def changes_of(body: CommitBody) -> Changes:
    """Raises InvalidRequest."""
    return Changes(
        delete=[checked_text("delete", doc_id, 200) for doc_id in body.delete],
        move=[
            Move(checked_text("doc_id", move.doc_id, 200), checked_text("source", move.source, 2_000))
            for move in body.move
        ],
        sync_root=checked_text("sync_root", body.sync_root, 4_000) if body.sync_root is not None else None,
        new_sync_root=body.new_sync_root,
    )


def refuse_twins(uploads: list[Upload]) -> None:
    """Raises InvalidRequest for two documents of one identity: which of them were to stay?"""
    counts = Counter(upload.identity for upload in uploads if upload.identity)
    twins = sorted(identity for identity, count in counts.items() if count > 1)
    if twins:
        raise InvalidRequest(
            "Two documents of the batch are the same one, by `doc_id`, `source` or file name.", identities=twins[:20]
        )
