"""What datasets served, from one switch to the next. Live trees become generation 1; what changed with them is not
known any more. The count of changes since the last clustering of the whole is called `batches` in a tree's stats.

Revision: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.add_column("datasets", sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "generations",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("tree_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("restored", sa.BigInteger(), nullable=True),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=True),
        sa.Column("changed", sa.Integer(), nullable=True),
        sa.Column("removed", sa.Integer(), nullable=True),
        sa.Column("published_at", time, nullable=False),
        sa.Column("superseded_at", time, nullable=True),
        sa.Column("erased_at", time, nullable=True),
        sa.CheckConstraint(
            "reason in ('first_build', 'maintained', 'clustered', 'mended', 'rolled_back')",
            name=op.f("ck_generations_reason_known"),
        ),
        sa.CheckConstraint("(reason = 'rolled_back') = (restored is not null)", name=op.f("ck_generations_restored")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_generations_datasets",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tree_id"],
            ["trees.tenant_id", "trees.tree_id"],
            name="fk_generations_trees",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "generation", name="pk_generations"),
    )
    op.create_index("ix_generations_tree_id", "generations", ["tenant_id", "tree_id"], unique=False)
    op.create_index(
        "uq_generations_live",
        "generations",
        ["tenant_id", "dataset_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at is null"),
    )
    op.execute(
        """
        insert into generations (tenant_id, dataset_id, generation, tree_id, reason, documents, published_at)
        select t.tenant_id, t.dataset_id, 1, t.tree_id,
            case when jsonb_exists(t.stats, 'written') then 'maintained' else 'clustered' end,
            (select count(distinct c.doc_id) from tree_nodes n
                join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
                where n.tenant_id = t.tenant_id and n.tree_id = t.tree_id),
            coalesce(t.published_at, t.created_at)
        from trees t where t.state = 'live'
        """
    )
    op.execute(
        """
        update datasets s set generation = 1 from generations g
        where g.tenant_id = s.tenant_id and g.dataset_id = s.dataset_id
        """
    )
    _rename_stat("generation", "batches")


def downgrade() -> None:
    _rename_stat("batches", "generation")
    op.drop_table("generations")
    op.drop_column("datasets", "generation")


def _rename_stat(old: str, new: str) -> None:
    op.execute(
        sa.text(
            "update trees set stats = stats - cast(:old as text)"
            " || jsonb_build_object(cast(:new as text), stats -> cast(:old as text))"
            " where jsonb_exists(stats, :old)"
        ).bindparams(old=old, new=new)
    )
