"""Liveness, readiness, and the sizes of the queue and the indexes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from interfaces_adaptor.http.dependencies import Cursor, Limit, ServicesOf, TenantOf, cursor_after, position_of
from interfaces_adaptor.http.errors import response_to
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.schemas.jobs import HealthOut, IndexOut, IndexPage, IndexTotals, PartOut
from services.errors import DatabaseUnavailable
from services.health import Health

router = APIRouter(tags=["status"])


@router.get("/healthz", include_in_schema=False)
async def alive() -> dict[str, str]:
    """Only says that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
async def ready(request: Request) -> Any:
    missing = await health_of(request).missing()
    if missing:
        return response_to(DatabaseUnavailable("The service is not ready.", **missing))
    return JSONResponse({"status": "ready"})


@router.get("/v1/health", response_model=Envelope[HealthOut], summary="State and versions of the service's components")
async def health(request: Request) -> Any:
    checked = health_of(request)
    parts = await checked.parts()
    return Envelope(
        data=HealthOut(
            status="ok" if all(part.ok for part in parts.values()) else "degraded",
            version=checked.version,
            parts={name: PartOut(ok=part.ok, detail=part.detail) for name, part in parts.items()},
        )
    )


@router.get("/v1/queue/stats", response_model=Envelope[dict[str, int]], summary="Jobs by status")
async def queue_stats(services: ServicesOf, tenant: TenantOf) -> Any:
    async with services.open_storage(tenant, snapshot=True) as work:
        counted = await work.count_jobs()
    return Envelope(data={**counted, "total": sum(counted.values())})


@router.get("/v1/index/stats", response_model=Envelope[IndexPage], summary="Vectors by dataset")
async def index_stats(services: ServicesOf, tenant: TenantOf, limit: Limit = 100, cursor: Cursor = None) -> Any:
    """`total` is of all datasets, also those on other pages."""
    after = position_of(cursor, str)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.list_indexes(after, limit)
        total = await work.total_indexes()
    last = [found[-1].dataset_id] if len(found) == limit else None
    return Envelope(
        data=IndexPage(
            total=IndexTotals(**asdict(total)),
            items=[IndexOut.of(entry) for entry in found],
            next_cursor=cursor_after(last),
        )
    )


def health_of(request: Request) -> Health:
    checked: Health = request.app.state.health
    return checked
