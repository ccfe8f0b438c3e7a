"""Which documents a paid result was written from, so that it is erased with them. Of the results that are there nobody
can tell: they are removed, and what is asked again is paid again.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("delete from model_calls")
    op.create_table(
        "model_call_sources",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "key"],
            ["model_calls.tenant_id", "model_calls.key"],
            name="fk_model_call_sources_model_calls",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key", "dataset_id", "doc_id", name="pk_model_call_sources"),
    )
    op.create_index(
        "ix_model_call_sources_document",
        "model_call_sources",
        ["tenant_id", "dataset_id", "doc_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("model_call_sources")
