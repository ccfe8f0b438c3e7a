"""Uploads: the one that waits for its tree, and the same without waiting."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, suppress
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Header, Request, Response

from interfaces_adaptor.http.dependencies import Services, ServicesOf, TenantOf
from interfaces_adaptor.http.keys import keys_of, no_empty_keys
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.schemas.ingest import DocumentAccepted, Ingested, IngestForm, NewDocumentBody
from interfaces_adaptor.http.uploaded import (
    IngestLimits,
    media_type_of,
    model_from_form,
    model_from_json,
    upload_from_form,
    upload_from_json,
)
from services.domain import TenantId
from services.errors import RaptorError, UnsupportedMediaType, status_of
from services.jobs.job import TERMINAL, Job

router = APIRouter(tags=["documents"])

PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})")


class JobFailed(RaptorError):
    """The job that the request waited for has failed; its error is the answer."""

    def __init__(self, job: Job) -> None:
        error = dict(job.error or {})
        super().__init__(error.get("message"), **(error.get("details") or {}), job_id=job.job_id.hex)
        self.code = error.get("code", RaptorError.code)  # type: ignore[misc]
        self.status = status_of(self.code)  # type: ignore[misc]


def only_multipart(request: Request) -> None:
    if media_type_of(request) != "multipart/form-data":
        raise UnsupportedMediaType


@router.post(
    "/v1/document/ingest-markdown",
    response_model=Envelope[Ingested],
    dependencies=[Depends(only_multipart), Depends(no_empty_keys)],
    responses={202: {"model": Envelope[Ingested]}},
    summary="Upload Markdown and wait until it is in a live tree",
)
async def ingest_markdown(
    request: Request,
    response: Response,
    services: ServicesOf,
    tenant: TenantOf,
    form: Annotated[IngestForm, Form(media_type="multipart/form-data")],
    x_dataset_id: Annotated[str | None, Header()] = None,
    prefer: Annotated[str | None, Header(description="`respond-async`, or `wait=N` (RFC 7240).")] = None,
) -> Any:
    limits: IngestLimits = request.app.state.ingest_limits
    upload = await upload_from_form(form, x_dataset_id, limits, keys_of(request, form))
    accepted = await services.ingestor.ingest(tenant, upload)
    job = None
    if accepted.job_id is not None:
        job = await finished(services, tenant, accepted.job_id, wait_of(prefer, limits.wait_s))
        if job is None:
            response.status_code = 202
            response.headers["Location"] = f"/v1/jobs/{accepted.job_id.hex}"
            if prefer:
                response.headers["Preference-Applied"] = prefer
    return Envelope(code=response.status_code or 200, data=Ingested.of(accepted, job))


@router.post(
    "/v1/documents",
    status_code=202,
    response_model=Envelope[DocumentAccepted],
    responses={200: {"model": Envelope[DocumentAccepted]}},
    summary="Add a document, as multipart or JSON",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": NewDocumentBody.model_json_schema()},
                "multipart/form-data": {"schema": IngestForm.model_json_schema()},
            },
        }
    },
)
async def add_document(
    request: Request,
    response: Response,
    services: ServicesOf,
    tenant: TenantOf,
    prefer: Annotated[str | None, Header(description="`wait=N`: at most N seconds for the job (RFC 7240).")] = None,
) -> Any:
    """Without waiting: `Location` names the job to follow. With `Prefer: wait=N`, 200 once the document is in a live
    tree, or there was nothing to do."""
    limits: IngestLimits = request.app.state.ingest_limits
    header = request.headers.get("x-dataset-id")
    kind = media_type_of(request)
    if kind == "multipart/form-data":
        async with request.form() as fields:
            form = model_from_form(IngestForm, fields)
            upload = await upload_from_form(form, header, limits, keys_of(request, form))
    elif kind == "application/json":
        body = await model_from_json(NewDocumentBody, request)
        upload = upload_from_json(body, header, limits, keys_of(request, body))
    else:
        raise UnsupportedMediaType("Send multipart/form-data with the field `file`, or application/json with `text`.")
    accepted = await services.ingestor.ingest(tenant, upload)
    wait_s = wait_of(prefer or "respond-async", limits.wait_s)
    job = None
    if accepted.job_id is not None:
        response.headers["Location"] = f"/v1/jobs/{accepted.job_id.hex}"
        job = await finished(services, tenant, accepted.job_id, wait_s)
    if wait_s and (job is not None or accepted.job_id is None):
        response.status_code = 200
    if prefer:
        response.headers["Preference-Applied"] = prefer
    return Envelope(code=response.status_code or 202, data=DocumentAccepted.of(accepted, job))


def wait_of(prefer: str | None, longest_s: float) -> float:
    """Seconds to wait for the job: as `Prefer` says, within the service's limit."""
    if prefer is None:
        return longest_s
    if "respond-async" in prefer.lower():
        return 0.0
    wanted = PREFER_WAIT.search(prefer.lower())
    return min(float(wanted.group(1)), longest_s) if wanted else longest_s


async def finished(services: Services, tenant: TenantId, job_id: UUID, wait_s: float) -> Job | None:
    """The job once it has succeeded; None if the time is over first. Raises JobFailed. The job continues either way:
    a client that hangs up loses nothing."""
    if not wait_s:
        return None
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s), aclosing(services.follower.follow(tenant, job_id)) as states:
            async for job in states:
                if job.status == "succeeded":
                    return job
                if job.status in TERMINAL:
                    raise JobFailed(job)
    return None
