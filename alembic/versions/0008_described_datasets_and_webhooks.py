"""Datasets have a name and a description; webhooks, and the events that triggers note for them.

An event is noted, and its delivery put into the queue, in the transaction in which it happens: whatever statement ends
a job or makes a tree live, none is missed, and none is told of what was rolled back.

Revision: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)

# The queue's and the task's names are those of constants/queue.py. The lock keeps deliveries to one address in line, so
# that one that does not answer holds one place of a worker and not all of them.
NOTE = """
create function note_event(told_tenant text, told_dataset text, told_event text, told jsonb) returns void
language plpgsql as $$
declare
    noted record;
begin
    for noted in
        insert into webhook_deliveries (tenant_id, delivery_id, webhook_id, event, data, status)
        select w.tenant_id, gen_random_uuid(), w.webhook_id, told_event, told, 'pending' from webhooks w
        where w.tenant_id = told_tenant and told_event = any(w.events)
            and (w.dataset_id is null or w.dataset_id = told_dataset)
        returning delivery_id, webhook_id
    loop
        perform procrastinate_defer_jobs_v1(array[row(
            'raptor', 'raptor.deliver_webhook', 0, 'webhook/' || told_tenant || '/' || noted.webhook_id, null,
            jsonb_build_object('tenant_id', told_tenant, 'item_id', noted.delivery_id::text), null
        )::procrastinate_job_to_defer_v1]);
    end loop;
end
$$
"""
NOTE_ENDED_JOBS = """
create function note_ended_jobs() returns trigger language plpgsql as $$
begin
    perform note_event(c.tenant_id, c.dataset_id, 'job.ended', jsonb_build_object(
        'job_id', replace(c.job_id::text, '-', ''), 'job_type', c.job_type, 'dataset_id', c.dataset_id,
        'doc_id', c.doc_id, 'status', c.status, 'result', c.result, 'error', c.error,
        'created_at', c.created_at, 'finished_at', c.finished_at
    ))
    from changed c join before b on b.tenant_id = c.tenant_id and b.job_id = c.job_id
    where c.status in ('succeeded', 'failed', 'cancelled') and b.status in ('queued', 'running')
        and exists (select from webhooks w where w.tenant_id = c.tenant_id);
    return null;
end
$$
"""
NOTE_LIVE_TREES = """
create function note_live_trees() returns trigger language plpgsql as $$
begin
    perform note_event(c.tenant_id, c.dataset_id, 'tree.live', jsonb_build_object(
        'dataset_id', c.dataset_id, 'tree_id', replace(c.live_tree_id::text, '-', '') || '::tree',
        'generation', c.generation
    ))
    from changed c join before b on b.tenant_id = c.tenant_id and b.dataset_id = c.dataset_id
    where c.live_tree_id is not null and c.live_tree_id is distinct from b.live_tree_id
        and exists (select from webhooks w where w.tenant_id = c.tenant_id);
    return null;
end
$$
"""
TRIGGER = """
create trigger {function} after update on {table} referencing old table as before new table as changed
for each statement execute function {function}()
"""


def upgrade() -> None:
    op.add_column("datasets", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("datasets", sa.Column("description", sa.Text(), nullable=True))
    _create_webhooks()
    _create_deliveries()
    for function in (NOTE, NOTE_ENDED_JOBS, NOTE_LIVE_TREES):
        op.execute(function)
    op.execute(TRIGGER.format(function="note_ended_jobs", table="jobs"))
    op.execute(TRIGGER.format(function="note_live_trees", table="datasets"))


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_webhooks_tenants", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "webhook_id", name="pk_webhooks"),
    )


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "webhook_id"],
            ["webhooks.tenant_id", "webhooks.webhook_id"],
            name="fk_webhook_deliveries_webhooks",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "delivery_id", name="pk_webhook_deliveries"),
        sa.CheckConstraint("status in ('pending', 'delivered', 'failed')", name="ck_webhook_deliveries_status_known"),
    )
    op.create_index("ix_webhook_deliveries_created_at", "webhook_deliveries", ["created_at"])
    op.create_index(
        "ix_webhook_deliveries_webhook",
        "webhook_deliveries",
        ["tenant_id", "webhook_id", "created_at", "delivery_id"],
    )


def downgrade() -> None:
    op.execute("drop trigger note_live_trees on datasets")
    op.execute("drop trigger note_ended_jobs on jobs")
    for function in ("note_live_trees()", "note_ended_jobs()", "note_event(text, text, text, jsonb)"):
        op.execute(f"drop function {function}")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
    op.drop_column("datasets", "description")
    op.drop_column("datasets", "name")
