"""Webhooks and their deliveries. Events are added by triggers (migration 0010)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, tuple_
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from constants.queue import DELIVER_WEBHOOK, QUEUE
from infra.db.schema import tenants, webhook_deliveries, webhooks
from infra.uow.unit_of_work import UnitOfWork, short_transaction
from services.errors import WebhookNotFound
from services.webhooks import Delivery, DueDelivery, Outcome, Webhook

SHOWN = [webhooks.c[name] for name in Webhook.__dataclass_fields__]
OF_DELIVERY = [webhook_deliveries.c[name] for name in Delivery.__dataclass_fields__]

# What has ended is listed for so long; what has not ended by then never will.
DELIVERIES_KEPT = timedelta(days=30)


class StoredWebhooks(UnitOfWork):
    async def count_webhooks(self) -> int:
        await self.execute(select(tenants.c.tenant_id).where(self.own(tenants)).with_for_update(key_share=True))
        row = await self.first(select(func.count().label("n")).where(self.own(webhooks)))
        return int(row["n"]) if row else 0

    async def add_webhook(
        self, webhook_id: UUID, url: str, events: Sequence[str], dataset_id: str | None, secret: bytes
    ) -> Webhook:
        row = await self.first(
            insert(webhooks)
            .values(
                tenant_id=self.tenant,
                webhook_id=webhook_id,
                url=url,
                events=list(events),
                dataset_id=dataset_id,
                secret=secret,
            )
            .returning(*SHOWN)
        )
        assert row is not None
        return Webhook(**row)

    async def list_webhooks(self, after: tuple[datetime, UUID] | None, limit: int) -> list[Webhook]:
        found = select(*SHOWN).where(self.own(webhooks))
        if after is not None:
            found = found.where(tuple_(webhooks.c.created_at, webhooks.c.webhook_id) > after)
        rows = await self.all(found.order_by(webhooks.c.created_at, webhooks.c.webhook_id).limit(limit))
        return [Webhook(**row) for row in rows]

    async def delete_webhook(self, webhook_id: UUID) -> None:
        """Its deliveries go with it, also those that were still to come. Raises WebhookNotFound."""
        gone = await self.execute(delete(webhooks).where(self.own(webhooks), webhooks.c.webhook_id == webhook_id))
        if not gone.rowcount:
            raise WebhookNotFound(webhook_id=webhook_id.hex)

    async def list_deliveries(
        self, webhook_id: UUID, after: tuple[datetime, UUID] | None, limit: int, *, status: str | None
    ) -> list[Delivery]:
        """The newest first. Raises WebhookNotFound."""
        if (
            await self.first(select(webhooks.c.url).where(self.own(webhooks), webhooks.c.webhook_id == webhook_id))
            is None
        ):
            raise WebhookNotFound(webhook_id=webhook_id.hex)
        of = webhook_deliveries.c
        found = select(*OF_DELIVERY).where(self.own(webhook_deliveries), of.webhook_id == webhook_id)
        if after is not None:
            found = found.where(tuple_(of.created_at, of.delivery_id) < after)
        if status is not None:
            found = found.where(of.status == status)
        rows = await self.all(found.order_by(of.created_at.desc(), of.delivery_id.desc()).limit(limit))
        return [Delivery(**row) for row in rows]

    async def due_delivery(self, delivery_id: UUID) -> DueDelivery | None:
        of = webhook_deliveries.c
        same = (webhooks.c.tenant_id == of.tenant_id) & (webhooks.c.webhook_id == of.webhook_id)
        row = await self.first(
            select(*OF_DELIVERY, of.webhook_id, webhooks.c.url, webhooks.c.secret)
            .select_from(webhook_deliveries.join(webhooks, same))
            .where(self.own(webhook_deliveries), of.delivery_id == delivery_id, of.status == "pending")
        )
        if row is None:
            return None
        return DueDelivery(delivery_from(row), row["webhook_id"], row["url"], row["secret"])

    async def end_attempt(self, due: DueDelivery, outcome: Outcome, pause_s: float | None) -> None:
        ended = await self.first(
            """
            update webhook_deliveries set attempts = attempts + 1, response_status = :response, error = :error,
                status = case when :delivered then 'delivered' when :ends then 'failed' else 'pending' end,
                ended_at = case when :ends then now() end,
                next_attempt_at = case when not :ends then now() + make_interval(secs => :pause) end
            where tenant_id = :tenant and delivery_id = :delivery and attempts = :attempts and status = 'pending'
            returning delivery_id
            """,
            delivery=due.delivery.delivery_id,
            attempts=due.delivery.attempts,
            response=outcome.status,
            error=outcome.error,
            delivered=outcome.delivered,
            ends=pause_s is None,
            pause=pause_s or 0.0,
        )
        if ended is None or pause_s is None:
            return
        # Without the lock of its webhook: a row that waits for a later time would hold up those behind it.
        await self.execute(
            """
            select procrastinate_defer_jobs_v1(array[row(
                cast(:queue as text), cast(:task as text), 0, null, null,
                jsonb_build_object('tenant_id', cast(:tenant as text), 'item_id', cast(:delivery as text)),
                clock_timestamp() + make_interval(secs => :pause)
            )::procrastinate_job_to_defer_v1])
            """,
            queue=QUEUE,
            task=DELIVER_WEBHOOK,
            delivery=str(due.delivery.delivery_id),
            pause=pause_s,
        )


def delivery_from(row: RowMapping) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__dataclass_fields__})


async def remove_old_deliveries(engine: AsyncEngine) -> int:
    """Of all tenants; how many that were."""
    old = webhook_deliveries.c.created_at < func.now() - DELIVERIES_KEPT
    async with short_transaction(engine) as connection:
        return (await connection.execute(delete(webhook_deliveries).where(old))).rowcount
