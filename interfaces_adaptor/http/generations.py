"""Generations of a dataset: what it served before, and the way back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from interfaces_adaptor.http.dependencies import Cursor, Limit, ServicesOf, TenantOf, cursor_after, position_of
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.generations import GenerationOut, RollbackBody, RollbackOut

router = APIRouter(prefix="/v1/datasets/{dataset_id}", tags=["datasets and trees"])


@router.get(
    "/generations",
    response_model=Envelope[Page[GenerationOut]],
    summary="What was live, and what changed, newest first",
)
async def list_generations(
    dataset_id: str, services: ServicesOf, tenant: TenantOf, limit: Limit = 100, cursor: Cursor = None
) -> Any:
    """The live generation, and those before it until their number or time is over."""
    after = position_of(cursor, int)
    async with services.open_storage(tenant, snapshot=True) as work:
        await work.get_dataset(dataset_id)
        found = await work.list_generations(dataset_id, after, limit)
    last = [found[-1].generation] if len(found) == limit else None
    return Envelope(data=Page(items=[GenerationOut.of(one) for one in found], next_cursor=cursor_after(last)))


@router.post("/rollback", response_model=Envelope[RollbackOut], summary="Serve an earlier generation again")
async def roll_back(
    request: Request, dataset_id: str, services: ServicesOf, tenant: TenantOf, body: RollbackBody
) -> Any:
    """When this call returns, tree and documents are served as they were in that generation, as a new one that begins
    with it. Documents that came later are deleted, not erased; those that were deleted since come back. Uploads that
    are under way join the next build. Calls no model; the keys are for a build that may have to follow."""
    done = await services.lifecycle.roll_back(tenant, dataset_id, body.generation, keys_of(request))
    return Envelope(data=RollbackOut.of(dataset_id, done))
