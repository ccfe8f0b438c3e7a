"""Tables of webhooks: where events are sent, and what became of each."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from infra.db.schema.columns import EMPTY_OBJECT, NOW, TIME, ZERO, metadata, optional, owned_by, required

webhooks = Table(
    "webhooks",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("webhook_id", Uuid, "the webhook"),
    required("url", Text, "where its events are posted"),
    required("events", ARRAY(Text()), "`job.ended`, `tree.live`"),
    optional("dataset_id", Text, "only this dataset's; null: all of the tenant's"),
    required("secret", LargeBinary, "what deliveries are signed with, sealed by the server's own key"),
    required("created_at", TIME, "when the row was added", default=NOW),
    PrimaryKeyConstraint("tenant_id", "webhook_id"),
    owned_by("tenants"),
    comment="Addresses that want to be told. The secret is shown once, in the answer that made it.",
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("delivery_id", Uuid, "`webhook-id` of the message, the same in every attempt"),
    required("webhook_id", Uuid, "the webhook"),
    required("event", Text, "the message's `type`"),
    required("data", JSONB, "the message's `data`", default=EMPTY_OBJECT),
    required("status", Text, "`pending`, `delivered`, `failed`"),
    required("attempts", Integer, "how often it was sent", default=ZERO),
    optional("response_status", Integer, "HTTP status of the last answer"),
    optional("error", Text, "why the last attempt did not succeed"),
    required("created_at", TIME, "when the event happened", default=NOW),
    optional("next_attempt_at", TIME, "null: at once, or never again"),
    optional("ended_at", TIME, "null while it may be sent again"),
    PrimaryKeyConstraint("tenant_id", "delivery_id"),
    ForeignKeyConstraint(
        ("tenant_id", "webhook_id"), ("webhooks.tenant_id", "webhooks.webhook_id"), ondelete="CASCADE"
    ),
    CheckConstraint("status in ('pending', 'delivered', 'failed')", name="status_known"),
    Index("ix_webhook_deliveries_created_at", "created_at"),
    Index("ix_webhook_deliveries_webhook", "tenant_id", "webhook_id", "created_at", "delivery_id"),
    comment=(
        "One event for one webhook. Triggers on `jobs` and `datasets` add it, with its place in the queue, in the "
        "transaction in which the event happens."
    ),
)
