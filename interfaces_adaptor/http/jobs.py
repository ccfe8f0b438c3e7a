"""Jobs: looked at, followed, cancelled, tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from interfaces_adaptor.http.dependencies import Cursor, Limit, ServicesOf, TenantOf, cursor_after, position_of
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Answer, Page
from interfaces_adaptor.http.schemas.jobs import JobOut, JobStarted, RetryBody
from services.cost.budget import Budget
from services.jobs.job import TERMINAL, Job

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

POLL_S = 0.25
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@router.get("", response_model=Answer[Page[JobOut]], summary="Jobs, newest first")
async def list_jobs(
    services: ServicesOf,
    tenant: TenantOf,
    status: Annotated[Status | None, Query()] = None,
    dataset_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    after = position_of(cursor, datetime.fromisoformat, UUID)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.list_jobs(after, limit, status=status, dataset_id=dataset_id)
    last = [found[-1].created_at, found[-1].job_id] if len(found) == limit else None
    return Answer(data=Page(items=[JobOut.of(job) for job in found], next_cursor=cursor_after(last)))


@router.get("/{job_id}", response_model=Answer[JobOut])
async def read_job(job_id: UUID, services: ServicesOf, tenant: TenantOf) -> Any:
    async with services.open_storage(tenant) as work:
        return Answer(data=JobOut.of(await work.get_job(job_id)))


async def existing_job(job_id: UUID, services: ServicesOf, tenant: TenantOf) -> Job:
    """Looked up before the stream begins, so that a job that is not there is a 404 and not a broken stream."""
    async with services.open_storage(tenant) as work:
        return await work.get_job(job_id)


@router.get("/{job_id}/events", response_class=EventSourceResponse, summary="A job's progress as it happens")
async def follow_job(
    services: ServicesOf, tenant: TenantOf, job: Annotated[Job, Depends(existing_job)]
) -> AsyncIterator[ServerSentEvent]:
    """`progress` whenever something changed; at the end one `done` or one `error`. Each event carries the job."""
    number = 0
    shown: dict[str, Any] | None = None
    while True:
        state = JobOut.of(job).model_dump(mode="json")
        if job.status in TERMINAL:
            yield ServerSentEvent(
                data=state, event="done" if job.status == "succeeded" else "error", id=str(number), retry=3000
            )
            return
        if state != shown:
            yield ServerSentEvent(data=state, event="progress", id=str(number), retry=3000)
            number, shown = number + 1, state
        await asyncio.sleep(POLL_S)
        async with services.open_storage(tenant) as work:
            job = await work.get_job(job.job_id)


@router.post("/{job_id}/cancel", status_code=202, response_model=Answer[JobOut])
async def cancel_job(job_id: UUID, services: ServicesOf, tenant: TenantOf) -> Any:
    """What the job finished is kept. Cancelling one that has ended changes nothing."""
    await services.lifecycle.cancel_job(tenant, job_id)
    async with services.open_storage(tenant) as work:
        return Answer(code=202, data=JobOut.of(await work.get_job(job_id)))


@router.post("/{job_id}/retry", status_code=202, response_model=Answer[JobStarted])
async def retry_job(
    request: Request, job_id: UUID, services: ServicesOf, tenant: TenantOf, body: RetryBody | None = None
) -> Any:
    """Goes on where a failed or cancelled job stopped; `job_id` in the answer is the job that does. One that used up
    its budget needs a larger one. The tree of one that wrote nodes without their model is mended.
    Provider keys that were brought for it are gone: bring them again."""
    body = body or RetryBody()
    budget = Budget(body.max_cost, body.max_tokens, body.max_calls)
    again = await services.lifecycle.retry_job(tenant, job_id, keys_of(request, body), budget)
    async with services.open_storage(tenant) as work:
        job = await work.get_job(again)
    return Answer(code=202, data=JobStarted(job_id=again, dataset_id=job.dataset_id))
