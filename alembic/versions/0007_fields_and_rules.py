"""What filters compare of a document, what it links to, and by which rule postings were made: filled in by the program.

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

    op.create_table(
        "link_keys",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=False),
        sa.Column("is_name", sa.Boolean(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id", "doc_id"],
            ["documents.tenant_id", "documents.dataset_id", "documents.doc_id"],
            name="fk_link_keys_documents",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "is_name", "key", "doc_id", name="pk_link_keys"),
    )
    op.create_index("ix_link_keys_document", "link_keys", ["tenant_id", "dataset_id", "doc_id"])


def downgrade() -> None:
    op.drop_table("link_keys")
    op.drop_column("posting_totals", "rule")
    op.drop_column("documents", "fields")
