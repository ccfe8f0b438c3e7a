"""The first schema: documents, trees, jobs, models, tenants.

Revision: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType


class VectorColumn(UserDefinedType[object]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "vector"


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_calls",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "key_hash", "call_id", name="pk_provider_calls"),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "provider_limits",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.Integer(), nullable=True),
        sa.Column("learnt_rpm", sa.Integer(), nullable=True),
        sa.Column("learnt_concurrency", sa.Integer(), nullable=True),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("provider", "key_hash", name="pk_provider_limits"),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_api_keys_tenants", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "key_id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
    )
    op.create_table(
        "datasets",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("embed_provider", sa.Text(), nullable=False),
        sa.Column("embed_model", sa.Text(), nullable=False),
        sa.Column("embed_dim", sa.Integer(), nullable=False),
        sa.Column("vector_index", sa.Text(), nullable=False),
        sa.Column(
            "settings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("live_tree_id", sa.Uuid(), nullable=True),
        sa.Column("wanted_revision", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("built_revision", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("wanted_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "vector_index in ('hnsw_cosine', 'hnsw_ip', 'hnsw_l2', 'exact')", name="ck_datasets_vector_index_known"
        ),
        sa.CheckConstraint("built_revision <= wanted_revision", name="ck_datasets_built_not_ahead"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_datasets_tenants", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", name="pk_datasets"),
    )
    op.create_table(
        "model_calls",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column(
            "output", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "usage", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("size", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name="fk_model_calls_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_model_calls"),
    )
    op.create_index("ix_model_calls_last_used_at", "model_calls", ["tenant_id", "last_used_at"], unique=False)
    op.create_table(
        "usage_ledger",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_hits", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.DOUBLE_PRECISION(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name="fk_usage_ledger_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "day", "dataset_id", "job_id", "stage", "provider", "model", name="pk_usage_ledger"
        ),
    )
    op.create_table(
        "documents",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("identity_hash", sa.LargeBinary(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column(
            "tags", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "extra_meta", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_documents_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "doc_id", name="pk_documents"),
        sa.UniqueConstraint(
            "tenant_id", "dataset_id", "identity_hash", name="uq_documents_tenant_id_dataset_id_identity_hash"
        ),
    )
    op.create_index("ix_documents_checksum", "documents", ["tenant_id", "dataset_id", "checksum"], unique=False)
    op.create_index("ix_documents_doc_id", "documents", ["tenant_id", "doc_id"], unique=False)
    op.create_table(
        "embeddings",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("content_key", sa.LargeBinary(), nullable=False),
        sa.Column("v", VectorColumn(), nullable=False),
        sa.Column(
            "meta", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("owner_type in ('chunk', 'tree_node')", name="ck_embeddings_owner_type_known"),
        sa.CheckConstraint("vector_dims(v) = dim", name="ck_embeddings_dimension"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_embeddings_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_embeddings"),
    )
    op.create_index("ix_embeddings_content", "embeddings", ["tenant_id", "content_key"], unique=False)
    op.create_index("ix_embeddings_generation", "embeddings", ["tenant_id", "generation_id"], unique=False)
    op.create_index(
        "ix_embeddings_owner", "embeddings", ["tenant_id", "dataset_id", "owner_type", "owner_id"], unique=False
    )
    op.create_table(
        "jobs",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=True),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("progress", sa.REAL(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("awaits_revision", sa.BigInteger(), nullable=True),
        sa.Column("queue_job_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "params", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "result", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "usage", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "timings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("job_type in ('ingest', 'build', 'mend')", name="ck_jobs_job_type_known"),
        sa.CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="ck_jobs_status_known"
        ),
        sa.CheckConstraint("progress between 0 and 1", name="ck_jobs_progress_share"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_jobs_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_created_at", "jobs", ["tenant_id", "created_at", "job_id"], unique=False)
    op.create_index("ix_jobs_dataset", "jobs", ["tenant_id", "dataset_id", "status"], unique=False)
    op.create_index(
        "uq_jobs_queued_build",
        "jobs",
        ["tenant_id", "dataset_id"],
        unique=True,
        postgresql_where=sa.text("job_type = 'build' and status = 'queued'"),
    )
    op.create_table(
        "trees",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("tree_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column(
            "params", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "stats", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("root_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('building', 'live', 'superseded')", name="ck_trees_state_known"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id"],
            ["datasets.tenant_id", "datasets.dataset_id"],
            name="fk_trees_datasets",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "tree_id", name="pk_trees"),
    )
    op.create_index("ix_trees_dataset", "trees", ["tenant_id", "dataset_id", "state"], unique=False)
    op.create_index(
        "uq_trees_building",
        "trees",
        ["tenant_id", "dataset_id"],
        unique=True,
        postgresql_where=sa.text("state = 'building'"),
    )
    op.create_table(
        "document_versions",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("embed_model", sa.Text(), nullable=False),
        sa.Column("chunker", sa.Text(), nullable=False),
        sa.Column("chunk_size", sa.Integer(), nullable=False),
        sa.Column("chunk_overlap", sa.Integer(), nullable=False),
        sa.Column("refine", sa.Text(), nullable=False),
        sa.Column("build_tree", sa.Boolean(), nullable=False),
        sa.Column("chunk_count", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("embedded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('indexing', 'ready', 'failed', 'superseded')", name="ck_document_versions_state_known"
        ),
        sa.CheckConstraint(
            "chunk_size > 0 and chunk_overlap >= 0 and chunk_overlap < chunk_size", name="ck_document_versions_chunking"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dataset_id", "doc_id"],
            ["documents.tenant_id", "documents.dataset_id", "documents.doc_id"],
            name="fk_document_versions_documents",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "version_id", name="pk_document_versions"),
        sa.UniqueConstraint(
            "tenant_id",
            "dataset_id",
            "doc_id",
            "number",
            name="uq_document_versions_tenant_id_dataset_id_doc_id_number",
        ),
    )
    op.create_index(
        "uq_document_versions_ready",
        "document_versions",
        ["tenant_id", "dataset_id", "doc_id"],
        unique=True,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_table(
        "job_secrets",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.job_id"], name="fk_job_secrets_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "provider", name="pk_job_secrets"),
    )
    op.create_index("ix_job_secrets_expires_at", "job_secrets", ["expires_at"], unique=False)
    op.create_table(
        "chunks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("chunk_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.Column("heading_path", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("token_cnt", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column(
            "meta", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.CheckConstraint("start_char >= 0 and end_char > start_char", name="ck_chunks_span"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "version_id"],
            ["document_versions.tenant_id", "document_versions.version_id"],
            name="fk_chunks_document_versions",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "chunk_id", name="pk_chunks"),
        sa.UniqueConstraint("tenant_id", "version_id", "idx", name="uq_chunks_tenant_id_version_id_idx"),
    )
    op.create_table(
        "tree_nodes",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("tree_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("chunk_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("token_cnt", sa.Integer(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("stale", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "meta", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'leaf') = (chunk_id is not null) and (kind = 'leaf') = (level = 0)", name="ck_tree_nodes_leaf"
        ),
        sa.CheckConstraint("kind in ('leaf', 'summary', 'root')", name="ck_tree_nodes_kind_known"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "chunk_id"],
            ["chunks.tenant_id", "chunks.chunk_id"],
            name="fk_tree_nodes_chunks",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tree_id"],
            ["trees.tenant_id", "trees.tree_id"],
            name="fk_tree_nodes_trees",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "tree_id", "node_id", name="pk_tree_nodes"),
    )
    op.create_index("ix_tree_nodes_chunk_id", "tree_nodes", ["tenant_id", "chunk_id"], unique=False)
    op.create_index("ix_tree_nodes_level", "tree_nodes", ["tenant_id", "tree_id", "level", "position"], unique=False)
    op.create_index("ix_tree_nodes_node_id", "tree_nodes", ["tenant_id", "node_id"], unique=False)
    op.create_table(
        "tree_edges",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("tree_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("child_id", sa.Uuid(), nullable=False),
        sa.Column("weight", sa.REAL(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tree_id", "child_id"],
            ["tree_nodes.tenant_id", "tree_nodes.tree_id", "tree_nodes.node_id"],
            name="fk_tree_edges_child",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tree_id", "parent_id"],
            ["tree_nodes.tenant_id", "tree_nodes.tree_id", "tree_nodes.node_id"],
            name="fk_tree_edges_parent",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "tree_id", "parent_id", "child_id", name="pk_tree_edges"),
    )
    op.create_index("ix_tree_edges_child", "tree_edges", ["tenant_id", "tree_id", "child_id"], unique=False)
    op.create_index(
        "uq_tree_edges_primary",
        "tree_edges",
        ["tenant_id", "tree_id", "child_id"],
        unique=True,
        postgresql_where=sa.text("is_primary"),
    )
    op.create_table(
        "tree_node_chunks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("tree_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("chunk_id", sa.Uuid(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "chunk_id"],
            ["chunks.tenant_id", "chunks.chunk_id"],
            name="fk_tree_node_chunks_chunks",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tree_id", "node_id"],
            ["tree_nodes.tenant_id", "tree_nodes.tree_id", "tree_nodes.node_id"],
            name="fk_tree_node_chunks_tree_nodes",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "tree_id", "node_id", "chunk_id", name="pk_tree_node_chunks"),
    )
    op.create_index("ix_tree_node_chunks_chunk_id", "tree_node_chunks", ["tenant_id", "chunk_id"], unique=False)

    op.create_foreign_key(
        "fk_datasets_live_tree",
        "datasets",
        "trees",
        ["tenant_id", "live_tree_id"],
        ["tenant_id", "tree_id"],
        ondelete="SET NULL (live_tree_id)",
    )
    op.execute("insert into tenants (tenant_id, name) values ('default', 'default')")


def downgrade() -> None:
    op.drop_constraint("fk_datasets_live_tree", "datasets")
    op.drop_index("ix_tree_node_chunks_chunk_id", table_name="tree_node_chunks")
    op.drop_table("tree_node_chunks")
    op.drop_index("uq_tree_edges_primary", table_name="tree_edges", postgresql_where=sa.text("is_primary"))
    op.drop_index("ix_tree_edges_child", table_name="tree_edges")
    op.drop_table("tree_edges")
    op.drop_index("ix_tree_nodes_node_id", table_name="tree_nodes")
    op.drop_index("ix_tree_nodes_level", table_name="tree_nodes")
    op.drop_index("ix_tree_nodes_chunk_id", table_name="tree_nodes")
    op.drop_table("tree_nodes")
    op.drop_table("chunks")
    op.drop_index("ix_job_secrets_expires_at", table_name="job_secrets")
    op.drop_table("job_secrets")
    op.drop_index(
        "uq_document_versions_ready", table_name="document_versions", postgresql_where=sa.text("state = 'ready'")
    )
    op.drop_table("document_versions")
    op.drop_index("uq_trees_building", table_name="trees", postgresql_where=sa.text("state = 'building'"))
    op.drop_index("ix_trees_dataset", table_name="trees")
    op.drop_table("trees")
    op.drop_index(
        "uq_jobs_queued_build", table_name="jobs", postgresql_where=sa.text("job_type = 'build' and status = 'queued'")
    )
    op.drop_index("ix_jobs_dataset", table_name="jobs")
    op.drop_index("ix_jobs_created_at", table_name="jobs")
    op.drop_table("jobs")
    op.drop_index("ix_embeddings_owner", table_name="embeddings")
    op.drop_index("ix_embeddings_generation", table_name="embeddings")
    op.drop_index("ix_embeddings_content", table_name="embeddings")
    op.drop_table("embeddings")
    op.drop_index("ix_documents_doc_id", table_name="documents")
    op.drop_index("ix_documents_checksum", table_name="documents")
    op.drop_table("documents")
    op.drop_table("usage_ledger")
    op.drop_index("ix_model_calls_last_used_at", table_name="model_calls")
    op.drop_table("model_calls")
    op.drop_table("datasets")
    op.drop_table("api_keys")
    op.drop_table("tenants")
    op.drop_table("provider_limits")
    op.drop_table("provider_calls")
