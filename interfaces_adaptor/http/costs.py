"""Estimated cost and recorded usage."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from interfaces_adaptor.http.dependencies import (
    AnyDataset,
    Cursor,
    Limit,
    ServicesOf,
    TenantOf,
    cursor_after,
    position_of,
)
from interfaces_adaptor.http.fields import checked_dataset_id, checked_doc_id, checked_file_name, checked_text
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.schemas.envelope import Envelope
from interfaces_adaptor.http.schemas.estimate import EstimateBody, EstimateOut
from interfaces_adaptor.http.schemas.usage import UsageItem, UsageOut, UsagePage
from interfaces_adaptor.http.uploaded import IngestLimits, chunking_of, data_of
from services.cost.estimate import EstimateRequest
from services.cost.ledger import GroupBy, UsageFilter
from services.errors import InvalidRequest
from services.ingest.upload import Upload

router = APIRouter(prefix="/v1", tags=["costs"])


@router.post(
    "/datasets/{dataset_id}/estimate",
    response_model=Envelope[EstimateOut],
    summary="Estimate the cost of an ingest or a rebuild; nothing is spent",
)
async def estimate(
    request: Request, dataset_id: str, services: ServicesOf, tenant: TenantOf, body: EstimateBody | None = None
) -> Any:
    """The dataset need not exist. Chunks are counted exactly, the tree above them is predicted; stored results cost
    nothing."""
    body = body or EstimateBody()
    limits: IngestLimits = request.app.state.ingest_limits
    chunking = chunking_of(limits, body.chunk_size, body.chunk_overlap)
    dataset_id = checked_dataset_id(dataset_id, None, None)
    uploads = [
        Upload(
            dataset_id=dataset_id,
            data=data_of(document.text, limits.max_upload_bytes),
            doc_id=checked_doc_id(document.doc_id),
            source=checked_text("source", document.source, 2_000) if document.source else None,
            file_name=checked_file_name(document.file_name) if document.file_name else None,
            chunking=chunking,
            refine=body.refine,
        )
        for document in body.documents
    ]
    asked = EstimateRequest(
        dataset_id=dataset_id,
        uploads=uploads,
        changes=dict(body.tree) | ({"summary_llm": body.summary_llm} if body.summary_llm else {}),
        embedding_model=body.embedding_model,
        build_tree=body.build_tree,
        keys=keys_of(request, body),
    )
    return Envelope(data=EstimateOut.of(dataset_id, await services.estimator.estimate(tenant, asked)))


@router.get("/usage", response_model=Envelope[UsagePage], summary="Usage of models, and its cost")
async def usage(
    services: ServicesOf,
    tenant: TenantOf,
    dataset_id: AnyDataset,
    group_by: Annotated[GroupBy, Query()] = "day",
    job_id: Annotated[UUID | None, Query()] = None,
    since: Annotated[date | None, Query(description="First day, UTC.")] = None,
    until: Annotated[date | None, Query(description="Last day, UTC.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """Of the caller's tenant. `total` covers all groups, also those on other pages. Figures outlive their dataset and
    job."""
    if since is not None and until is not None and since > until:
        raise InvalidRequest("`since` must not be later than `until`.", field="since")
    wanted = UsageFilter(dataset_id, job_id.hex if job_id is not None else None, since, until)
    after = position_of(cursor, str)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.grouped_usage(wanted, group_by, after, limit)
        total = await work.total_usage(wanted)
    last = [found[-1].key] if len(found) == limit else None
    return Envelope(
        data=UsagePage(
            group_by=group_by,
            since=since,
            until=until,
            total=UsageOut.of(total),
            items=[UsageItem.of_entry(entry) for entry in found],
            next_cursor=cursor_after(last),
        )
    )
