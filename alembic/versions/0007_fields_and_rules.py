"""What filters compare of a document, and by which rule postings were made. Both are filled in by the program.

Revision: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("fields", postgresql.JSONB(), nullable=True))
    op.add_column("posting_totals", sa.Column("rule", sa.SmallInteger(), nullable=False, server_default=sa.text("1")))


def downgrade() -> None:
    op.drop_column("posting_totals", "rule")
    op.drop_column("documents", "fields")
