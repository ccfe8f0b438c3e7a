"""Webhooks: who wants to be told that a job has ended or a tree has gone live, and the telling, until it has succeeded.

The database notes an event for each webhook in the transaction in which it happens (migration 0010), so that none is
lost and none is told of what was rolled back. A delivery may come twice: its id says that it is the same.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from services.domain import JsonObject, TenantId
from services.errors import InvalidRequest, MissingProviderKey
from services.jobs.secrets import SecretBox
from services.storage import OpenStorage, UnitOfWork

logger = logging.getLogger(__name__)

WebhookEvent = Literal["job.ended", "tree.live"]
DeliveryStatus = Literal["pending", "delivered", "failed"]

MOST_WEBHOOKS = 50
SECRET_BYTES = 32
# With pauses of 5 s, 30 s, 3 min, 18 min, 1.8 h, then 10.8 h each: two days.
MOST_ATTEMPTS = 9
LONGER, LONGEST = 6.0, 7_776.0  # times the pause before; times the first one
JITTER = 0.2
GONE = 410
UNREADABLE = "the secret cannot be read here: all processes need the same RAPTOR_SECRET_KEY"


@dataclass(frozen=True, slots=True)
class Webhook:
    """`dataset_id` None: events of all datasets of the tenant."""

    webhook_id: UUID
    url: str
    events: Sequence[WebhookEvent]
    dataset_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    delivery_id: UUID
    event: WebhookEvent
    data: JsonObject
    status: DeliveryStatus
    attempts: int
    response_status: int | None
    error: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """What is to be sent, where to, and the sealed secret that it is signed with."""

    delivery: Delivery
    webhook_id: UUID
    url: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer's HTTP status, or why there was none."""

    status: int | None = None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class WebhookStorage(UnitOfWork, Protocol):
    """What webhooks ask of storage."""

    async def count_webhooks(self) -> int:
        """Nobody else adds one until the unit of work ends."""
        ...

    async def add_webhook(
        self, webhook_id: UUID, url: str, events: Sequence[str], dataset_id: str | None, secret: bytes
    ) -> Webhook: ...

    async def due_delivery(self, delivery_id: UUID) -> DueDelivery | None:
        """None where it has ended, or its webhook is gone."""
        ...

    async def end_attempt(self, due: DueDelivery, outcome: Outcome, pause_s: float | None) -> None:
        """Without a pause the delivery has ended; with one it is put into the queue again. Does nothing where another
        process has ended this attempt already."""
        ...


class WebhookAddresses(Protocol):
    async def check(self, url: str) -> None:
        """Raises WebhookUrlRefused for an address that events must not be sent to."""
        ...


class WebhookSender(Protocol):
    async def send(self, url: str, secret: str, message_id: str, body: str) -> Outcome:
        """Signed and bounded in time; never raises for what the other side does."""
        ...


class Webhooks:
    def __init__(
        self, open_storage: OpenStorage[WebhookStorage], secrets: SecretBox, addresses: WebhookAddresses
    ) -> None:
        self._open = open_storage
        self._secrets = secrets
        self._addresses = addresses

    async def add(
        self, tenant: TenantId, url: str, events: Sequence[WebhookEvent], dataset_id: str | None
    ) -> tuple[Webhook, str]:
        """The webhook, and its secret, which is shown this once. Raises WebhookUrlRefused, InvalidRequest."""
        await self._addresses.check(url)
        webhook_id = uuid.uuid4()
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        async with self._open(tenant) as work:
            if await work.count_webhooks() >= MOST_WEBHOOKS:
                raise InvalidRequest(f"There are {MOST_WEBHOOKS} webhooks already: delete one first.")
            sealed = self._secrets.seal(secret, webhook_id.hex)
            added = await work.add_webhook(webhook_id, url, events, dataset_id, sealed)
            await work.commit()
        return added, secret


class WebhookDeliverer:
    def __init__(
        self, open_storage: OpenStorage[WebhookStorage], secrets: SecretBox, sender: WebhookSender, first_pause_s: float
    ) -> None:
        self._open = open_storage
        self._secrets = secrets
        self._sender = sender
        self._first_pause_s = first_pause_s

    async def deliver(self, tenant: TenantId, delivery_id: UUID) -> None:
        """One attempt; what did not succeed is in the queue again when this returns."""
        async with self._open(tenant) as work:
            due = await work.due_delivery(delivery_id)
        if due is None:
            return
        outcome = await self._sent(due)
        pause_s = pause_after(outcome, due.delivery.attempts + 1, self._first_pause_s)
        async with self._open(tenant) as work:
            await work.end_attempt(due, outcome, pause_s)
            await work.commit()
        told = {"webhook_id": due.webhook_id.hex, "delivery_id": delivery_id.hex, "status": outcome.status}
        logger.info("webhook delivery attempted", extra={**told, "error": outcome.error, "pause_s": pause_s})

    async def _sent(self, due: DueDelivery) -> Outcome:
        try:
            secret = self._secrets.open(due.secret, due.webhook_id.hex)
        except MissingProviderKey:
            return Outcome(error=UNREADABLE)
        return await self._sender.send(due.url, secret, message_id(due.delivery), body_of(due.delivery))


def message_id(delivery: Delivery) -> str:
    return f"msg_{delivery.delivery_id.hex}"


def body_of(delivery: Delivery) -> str:
    """As Standard Webhooks have it: what happened, when, and about what."""
    message = {"type": delivery.event, "timestamp": delivery.created_at.isoformat(), "data": dict(delivery.data)}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def pause_after(outcome: Outcome, attempts: int, first_s: float) -> float | None:
    """Seconds until the next attempt; None where there is none: it has arrived, is not wanted any more, or was sent
    often enough."""
    if outcome.delivered or outcome.status == GONE or attempts >= MOST_ATTEMPTS:
        return None
    longer = min(LONGER ** (attempts - 1), LONGEST)
    return first_s * longer * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 - spreads load, hides nothing
