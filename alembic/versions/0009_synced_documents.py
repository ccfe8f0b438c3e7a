"""A dataset remembers the folder that it is kept equal to; its documents whether they are files of that folder, and
what requests said of them.

Revision: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("sync_root", sa.Text(), nullable=True))
    op.add_column("documents", sa.Column("synced", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column(
        "documents",
        sa.Column("given", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
    )
    # Up to here tags and metadata came from requests, and the empty ones from requests that said nothing.
    op.execute(
        """
        update documents set given =
            case when tags = '[]' then '{}' else jsonb_build_object('tags', tags) end
            || case when extra_meta = '{}' then '{}' else jsonb_build_object('meta', extra_meta) end
        where tags <> '[]' or extra_meta <> '{}'
        """
    )


def downgrade() -> None:
    op.drop_column("documents", "given")
    op.drop_column("documents", "synced")
    op.drop_column("datasets", "sync_root")
