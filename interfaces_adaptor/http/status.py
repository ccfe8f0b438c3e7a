"""Liveness, readiness, and the sizes of the queue and the indexes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from interfaces_adaptor.http.dependencies import ServicesOf, TenantOf
from interfaces_adaptor.http.errors import response_to
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.jobs import HealthOut, IndexOut, PartOut
from services.errors import DatabaseUnavailable
from services.health import Health

router = APIRouter(tags=["status"])


@router.get("/healthz", include_in_schema=False)
async def alive() -> dict[str, str]:
    """Only says that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
async def ready(request: Request) -> Any:
    parts = await health_of(request).parts()
    waiting = {name: part.detail for name, part in parts.items() if not part.ok and part.needed}
    if waiting:
        return response_to(DatabaseUnavailable("The service is not ready.", **waiting))
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
        return Envelope(data=await work.count_jobs())


@router.get("/v1/index/stats", response_model=Envelope[Page[IndexOut]], summary="Vectors by dataset")
async def index_stats(services: ServicesOf, tenant: TenantOf) -> Any:
    async with services.open_storage(tenant, snapshot=True) as work:
        return Envelope(data=Page(items=[IndexOut.of(entry) for entry in await work.list_indexes()]))


def health_of(request: Request) -> Health:
    checked: Health = request.app.state.health
    return checked
