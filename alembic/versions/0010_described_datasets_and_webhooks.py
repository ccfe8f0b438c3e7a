"""Datasets have a name and a description.

Revision: 0010
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("datasets", sa.Column("description", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("datasets", "description")
    op.drop_column("datasets", "name")
