"""Who pays for a job, which job brings a version in, and uploads of many documents that are committed at once.

Revision: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

QUEUED_BUILD = sa.text("job_type = 'build' and status = 'queued'")


def upgrade() -> None:
    empty = sa.text("''")
    op.add_column("jobs", sa.Column("payer", sa.Text(), nullable=False, server_default=empty))
    op.drop_index("uq_jobs_queued_build", "jobs")
    op.create_index(
        "uq_jobs_queued_build",
        "jobs",
        ["tenant_id", "dataset_id", "payer"],
        unique=True,
        postgresql_where=QUEUED_BUILD,
    )
    op.add_column("document_versions", sa.Column("job_id", sa.Uuid(), nullable=True))
    op.create_index("ix_document_versions_job_id", "document_versions", ["tenant_id", "job_id"])
    op.execute(
        """
        update document_versions v set job_id = (
            select j.job_id from jobs j where j.tenant_id = v.tenant_id and j.version_id = v.version_id
            order by j.created_at desc limit 1
        )
        """
    )
    op.add_column("datasets", sa.Column("needs_key", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    _create_uploads(empty)


def _create_uploads(empty: sa.TextClause) -> None:
    op.create_table(
        "uploads",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_uploads_tenants", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "upload_id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    op.create_table(
        "upload_documents",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("identity_hash", sa.LargeBinary(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False, server_default=empty),
        sa.Column("fields", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "upload_id"],
            ["uploads.tenant_id", "uploads.upload_id"],
            name="fk_upload_documents_uploads",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "upload_id", "position", name="pk_upload_documents"),
        sa.UniqueConstraint(
            "tenant_id", "upload_id", "identity_hash", name="uq_upload_documents_tenant_id_upload_id_identity_hash"
        ),
    )


def downgrade() -> None:
    op.drop_table("upload_documents")
    op.drop_table("uploads")
    op.drop_column("datasets", "needs_key")
    op.drop_index("ix_document_versions_job_id", "document_versions")
    op.drop_column("document_versions", "job_id")
    op.drop_index("uq_jobs_queued_build", "jobs")
    op.create_index(
        "uq_jobs_queued_build", "jobs", ["tenant_id", "dataset_id"], unique=True, postgresql_where=QUEUED_BUILD
    )
    op.drop_column("jobs", "payer")
