"""Postings for BM25, and the recall-measured ef_search of a dataset. What is stored already is indexed here.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.text.postings import PostingLists, indexed_text, posting_lists

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    integers = postgresql.ARRAY(sa.Integer())
    postings = op.create_table(
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
    totals = op.create_table(
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
    index_what_is_there(postings, totals)
    op.create_index("ix_postings_generation", "postings", ["tenant_id", "generation_id"], unique=False)
    op.create_index("ix_posting_totals_generation", "posting_totals", ["tenant_id", "generation_id"], unique=False)


def downgrade() -> None:
    op.drop_column("datasets", "ef_search")
    op.drop_table("posting_totals")
    op.drop_table("postings")


def index_what_is_there(postings: sa.Table, totals: sa.Table) -> None:
    """A version or a level of a tree at a time, so that memory holds one document."""
    connection = op.get_bind()
    for tenant, dataset, version in connection.execute(
        sa.text("select distinct tenant_id, dataset_id, version_id from chunks")
    ).all():
        rows = connection.execute(
            sa.text("select heading_path, text from chunks where tenant_id = :t and version_id = :v order by idx"),
            {"t": tenant, "v": version},
        )
        lists = posting_lists(0, [indexed_text(path, text) for path, text in rows])
        write(connection, postings, totals, (tenant, dataset, version), lists)
    for tenant, dataset, tree, level in connection.execute(
        sa.text(
            "select distinct n.tenant_id, t.dataset_id, n.tree_id, n.level from tree_nodes n"
            " join trees t on t.tenant_id = n.tenant_id and t.tree_id = n.tree_id"
            " where n.level > 0 and n.text is not null"
        )
    ).all():
        rows = connection.execute(
            sa.text(
                "select title, text from tree_nodes where tenant_id = :t and tree_id = :tree and level = :level"
                " order by position"
            ),
            {"t": tenant, "tree": tree, "level": level},
        )
        lists = posting_lists(level, [indexed_text((title or "",), text or "") for title, text in rows])
        write(connection, postings, totals, (tenant, dataset, tree), lists)


def write(
    connection: sa.Connection,
    postings: sa.Table,
    totals: sa.Table,
    owner: Iterable[object],
    lists: PostingLists,
) -> None:
    tenant, dataset, generation = owner
    whose = {"tenant_id": tenant, "dataset_id": dataset, "generation_id": generation, "level": lists.level}
    connection.execute(totals.insert(), [whose | {"nodes": lists.nodes, "length": lists.length}])
    rows = [
        whose
        | {
            "term": posting.term,
            "places": list(posting.places),
            "frequencies": list(posting.frequencies),
            "lengths": list(posting.lengths),
        }
        for posting in lists.postings
    ]
    if rows:
        connection.execute(postings.insert(), rows)
