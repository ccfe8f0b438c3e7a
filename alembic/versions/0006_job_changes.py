"""Changes of jobs are told on a channel, so that nobody who waits for one has to ask.

A statement tells each dataset whose jobs it changed once, however many they are: a build's report changes every upload
that waits for it. Two triggers, because a transition table is of one kind of event.

Revision: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# `topic_of` in services/jobs/follow.py makes the same text. A payload is short and tells a stranger on the server
# nothing: every role that may connect may listen.
TELL = """
create function tell_job_changes() returns trigger language plpgsql as $$
begin
    perform pg_notify('raptor_jobs', topic) from (
        select distinct left(encode(sha256(convert_to(tenant_id || '/' || dataset_id, 'UTF8')), 'hex'), 32) as topic
        from changed
    ) as topics;
    return null;
end
$$
"""
TRIGGER = """
create trigger {name} after {event} on jobs referencing {rows} table as changed
for each statement execute function tell_job_changes()
"""


def upgrade() -> None:
    op.execute(TELL)
    op.execute(TRIGGER.format(name="tell_updated_jobs", event="update", rows="new"))
    op.execute(TRIGGER.format(name="tell_deleted_jobs", event="delete", rows="old"))


def downgrade() -> None:
    op.execute("drop trigger tell_deleted_jobs on jobs")
    op.execute("drop trigger tell_updated_jobs on jobs")
    op.execute("drop function tell_job_changes()")
