"""Jobs: list, read, follow, cancel, retry."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from interfaces_adaptor.http.dependencies import (
    AnyDataset,
    Cursor,
    Limit,
    Services,
    ServicesOf,
    TenantOf,
    cursor_after,
    position_of,
)
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.jobs import JobOut, JobStarted, RetryBody
from interfaces_adaptor.http.streaming import NDJSON, SSE, EventStream, NamedEvent, stream_of, wanted_type
from services.domain import TenantId
from services.jobs.job import TERMINAL

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

RETRY_MS = 3000
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@router.get("", response_model=Envelope[Page[JobOut]], summary="Jobs, newest first")
async def list_jobs(
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: AnyDataset,
    status: Annotated[Status | None, Query()] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    after = position_of(cursor, datetime.fromisoformat, UUID)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.list_jobs(after, limit, status=status, dataset_id=dataset_id)
    last = [found[-1].created_at, found[-1].job_id] if len(found) == limit else None
    return Envelope(data=Page(items=[JobOut.of(job) for job in found], next_cursor=cursor_after(last)))


@router.get("/{job_id}", response_model=Envelope[JobOut])
async def read_job(job_id: UUID, services: ServicesOf, tenant: TenantOf) -> Any:
    async with services.open_storage(tenant) as work:
        return Envelope(data=JobOut.of(await work.get_job(job_id)))


@router.get(
    "/{job_id}/events",
    status_code=200,
    response_class=EventStream,
    responses={200: {"content": {SSE: {"schema": {"type": "string"}}, NDJSON: {"schema": {"type": "string"}}}}},
    summary="A job's progress as it happens",
)
async def follow_job(
    request: Request,
    job_id: UUID,
    services: ServicesOf,
    tenant: TenantOf,
    accept: Annotated[str, Header(description="text/event-stream (default) or application/x-ndjson")] = "",
) -> Response:
    """`progress` after every change, and at the end one `done` or one `error`. Each event carries the job."""
    kind = NDJSON if wanted_type(accept) == NDJSON else SSE
    return await stream_of(request, progress_of(services, tenant, job_id), kind, retry_ms=RETRY_MS)


async def progress_of(services: Services, tenant: TenantId, job_id: UUID) -> AsyncGenerator[NamedEvent, None]:
    shown: dict[str, Any] | None = None
    async with aclosing(services.follower.follow(tenant, job_id)) as states:
        async for job in states:
            state = JobOut.of(job).model_dump(mode="json")
            if job.status in TERMINAL:
                yield "done" if job.status == "succeeded" else "error", state
            elif state != shown:
                yield "progress", state
                shown = state


@router.post("/{job_id}/cancel", status_code=202, response_model=Envelope[JobOut])
async def cancel_job(job_id: UUID, services: ServicesOf, tenant: TenantOf) -> Any:
    """Finished work is kept. Cancelling a job that has ended changes nothing."""
    await services.lifecycle.cancel_job(tenant, job_id)
    async with services.open_storage(tenant) as work:
        return Envelope(code=202, data=JobOut.of(await work.get_job(job_id)))


@router.post("/{job_id}/retry", status_code=202, response_model=Envelope[JobStarted])
async def retry_job(
    request: Request, job_id: UUID, services: ServicesOf, tenant: TenantOf, body: RetryBody | None = None
) -> Any:
    """Continues where a failed or cancelled job stopped; `job_id` in the response is the job that continues. A job that
    used up its budget needs a larger one. If the job wrote summaries without their model, they are rewritten.
    Provider keys sent with the first request are no longer stored: send them again."""
    body = body or RetryBody()
    budget = body.budget
    again = await services.lifecycle.retry_job(tenant, job_id, keys_of(request, body), budget)
    async with services.open_storage(tenant) as work:
        job = await work.get_job(again)
    return Envelope(code=202, data=JobStarted(job_id=again, dataset_id=job.dataset_id))
