"""Webhooks in requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from interfaces_adaptor.http.schemas.envelope import Hex, Strict
from services.webhooks import Delivery, DeliveryStatus, Webhook, WebhookEvent, message_id


class WebhookBody(Strict):
    """Where events are to be posted, and which: all, or only those of one dataset."""

    url: str = Field(max_length=2_000, description="An https address that is public.")
    events: list[WebhookEvent] = Field(default=["job.ended", "tree.live"], min_length=1, max_length=8)
    dataset_id: str | None = None
    database_id: str | None = None


class WebhookOut(BaseModel):
    webhook_id: Hex
    url: str
    events: list[WebhookEvent]
    dataset_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, webhook: Webhook, **more: Any) -> WebhookOut:
        return cls(
            webhook_id=webhook.webhook_id,
            url=webhook.url,
            events=list(webhook.events),
            dataset_id=webhook.dataset_id,
            created_at=webhook.created_at,
            **more,
        )


class NewWebhookOut(WebhookOut):
    secret: str = Field(description="Verifies the signatures of its messages. Shown this once.")


class DeliveryOut(BaseModel):
    delivery_id: Hex
    message_id: str = Field(description="`webhook-id` of the message, the same in every attempt.")
    event: WebhookEvent
    data: dict[str, Any]
    status: DeliveryStatus
    attempts: int
    response_status: int | None
    error: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryOut:
        return cls(
            delivery_id=delivery.delivery_id,
            message_id=message_id(delivery),
            event=delivery.event,
            data=dict(delivery.data),
            status=delivery.status,
            attempts=delivery.attempts,
            response_status=delivery.response_status,
            error=delivery.error,
            created_at=delivery.created_at,
            next_attempt_at=delivery.next_attempt_at,
            ended_at=delivery.ended_at,
        )
