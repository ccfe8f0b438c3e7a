"""Postings for BM25, and the recall-measured ef_search of a dataset. What is stored already is indexed afterwards, by
the program (`interfaces_adaptor/repositories/postings.py`): a migration knows no words.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    integers = postgresql.ARRAY(sa.Integer())
    op.create_table(
        "postings",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("places", integers, nullable=False),
        sa.Column("frequencies", integers, nullable=False),
        sa.Column("lengths", integers, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_postings_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "term", "generation_id", "level", name="pk_postings"),
    )
    op.create_table(
        "posting_totals",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_posting_totals_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "generation_id", "level", name="pk_posting_totals"),
    )
    op.add_column("datasets", sa.Column("ef_search", sa.Integer(), nullable=True))
    op.create_index("ix_postings_generation", "postings", ["tenant_id", "generation_id"], unique=False)
    op.create_index("ix_posting_totals_generation", "posting_totals", ["tenant_id", "generation_id"], unique=False)


def downgrade() -> None:
    op.drop_column("datasets", "ef_search")
    op.drop_table("posting_totals")
    op.drop_table("postings")
