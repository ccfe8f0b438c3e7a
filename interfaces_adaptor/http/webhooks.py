"""Webhooks: made, listed, deleted, and what was delivered to each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from interfaces_adaptor.http.dependencies import Cursor, Limit, ServicesOf, TenantOf, cursor_after, position_of
from interfaces_adaptor.http.fields import checked_dataset_id
from interfaces_adaptor.http.schemas.envelope import Envelope, Page
from interfaces_adaptor.http.schemas.webhooks import DeliveryOut, NewWebhookOut, WebhookBody, WebhookOut
from services.webhooks import DeliveryStatus

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.post("", status_code=201, response_model=Envelope[NewWebhookOut], summary="Have events posted to an address")
async def add_webhook(services: ServicesOf, tenant: TenantOf, body: WebhookBody) -> Any:
    """`job.ended`: a job has succeeded, failed or was cancelled. `tree.live`: another tree of a dataset is served."""
    named = body.dataset_id or body.database_id
    dataset_id = checked_dataset_id(body.dataset_id, body.database_id, None) if named else None
    added, secret = await services.webhooks.add(tenant, body.url, list(dict.fromkeys(body.events)), dataset_id)
    return Envelope(code=201, data=NewWebhookOut.of(added, secret=secret))


@router.get("", response_model=Envelope[Page[WebhookOut]])
async def list_webhooks(services: ServicesOf, tenant: TenantOf, limit: Limit = 100, cursor: Cursor = None) -> Any:
    after = position_of(cursor, datetime.fromisoformat, UUID)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.list_webhooks(after, limit)
    last = [found[-1].created_at, found[-1].webhook_id] if len(found) == limit else None
    return Envelope(data=Page(items=[WebhookOut.of(one) for one in found], next_cursor=cursor_after(last)))


@router.delete("/{webhook_id}", status_code=204, summary="Delete a webhook; nothing more is sent")
async def delete_webhook(webhook_id: UUID, services: ServicesOf, tenant: TenantOf) -> Response:
    async with services.open_storage(tenant) as work:
        await work.delete_webhook(webhook_id)
        await work.commit()
    return Response(status_code=204)


@router.get(
    "/{webhook_id}/deliveries", response_model=Envelope[Page[DeliveryOut]], summary="What was sent, and how it went"
)
async def list_deliveries(
    webhook_id: UUID,
    services: ServicesOf,
    tenant: TenantOf,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """The newest first; kept for 30 days."""
    after = position_of(cursor, datetime.fromisoformat, UUID)
    async with services.open_storage(tenant, snapshot=True) as work:
        found = await work.list_deliveries(webhook_id, after, limit, status=status)
    last = [found[-1].created_at, found[-1].delivery_id] if len(found) == limit else None
    return Envelope(data=Page(items=[DeliveryOut.of(one) for one in found], next_cursor=cursor_after(last)))
