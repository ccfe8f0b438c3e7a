"""Every table on one page. Database.md tells it in prose; `tests/migrations` holds the three together.

Keys lead with `tenant_id`: a foreign key can then never cross tenants, and the schema can be spread by tenant.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType


class Vector(UserDefinedType[Any]):
    """pgvector's `vector`, of any dimension, as a numpy array.

    Binding and reading are left to the asyncpg codec that `infra/db/engine.py` registers on each connection:
    pgvector's own SQLAlchemy type goes through text, which is 15 to 25 times slower and breaks beside that codec.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "vector"


ischema_names["vector"] = Vector


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: Text(),
        bytes: LargeBinary(),
        uuid.UUID: Uuid(),
        datetime: DateTime(timezone=True),
        date: Date(),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(Text()),
    }


def created() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def json_object() -> Mapped[dict[str, Any]]:
    return mapped_column(server_default=sql("'{}'::jsonb"))


def tenant_of(table: str, *columns: str, on: tuple[str, ...] = (), name: str | None = None, ondelete: str) -> Any:
    """A foreign key whose first column is the tenant."""
    local = ("tenant_id", *columns)
    referred = ("tenant_id", *(on or columns))
    return ForeignKeyConstraint(local, [f"{table}.{c}" for c in referred], name=name, ondelete=ondelete)


class Tenant(Base):
    __tablename__ = "tenants"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = created()


class ApiKey(Base):
    __tablename__ = "api_keys"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "key_id"),
        tenant_of("tenants", ondelete="CASCADE"),
        UniqueConstraint("secret_hash"),
    )

    tenant_id: Mapped[str]
    key_id: Mapped[str]
    prefix: Mapped[str]
    secret_hash: Mapped[bytes]
    name: Mapped[str]
    created_at: Mapped[datetime] = created()
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Dataset(Base):
    __tablename__ = "datasets"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "dataset_id"),
        tenant_of("tenants", ondelete="CASCADE"),
        ForeignKeyConstraint(
            ("tenant_id", "live_tree_id"),
            ("trees.tenant_id", "trees.tree_id"),
            name="fk_datasets_live_tree",
            ondelete="SET NULL (live_tree_id)",
            use_alter=True,
        ),
        CheckConstraint("vector_index in ('hnsw_cosine', 'hnsw_ip', 'hnsw_l2', 'exact')", name="vector_index_known"),
        CheckConstraint("built_revision <= wanted_revision", name="built_not_ahead"),
    )

    tenant_id: Mapped[str]
    dataset_id: Mapped[str]
    embed_provider: Mapped[str]
    embed_model: Mapped[str]
    embed_dim: Mapped[int]
    vector_index: Mapped[str]
    settings: Mapped[dict[str, Any]] = json_object()
    live_tree_id: Mapped[uuid.UUID | None]
    # Coalescing: each change raises `wanted`, a published tree raises `built` to what it had seen.
    wanted_revision: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    built_revision: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    wanted_since: Mapped[datetime | None]
    wanted_at: Mapped[datetime | None]
    # HNSW's ef_search for this dataset, chosen by a measured recall; null: the default.
    ef_search: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


class Document(Base):
    __tablename__ = "documents"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "dataset_id", "doc_id"),
        tenant_of("datasets", "dataset_id", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "dataset_id", "identity_hash"),
        Index("ix_documents_doc_id", "tenant_id", "doc_id"),
        Index("ix_documents_checksum", "tenant_id", "dataset_id", "checksum"),
    )

    tenant_id: Mapped[str]
    dataset_id: Mapped[str]
    doc_id: Mapped[str]
    # What identifies the document in its dataset (`id:…`, `source:…` or `file:…`); hashed for the key because a
    # source may be longer than the 2,704 bytes that a btree entry holds.
    identity: Mapped[str]
    identity_hash: Mapped[bytes]
    file_name: Mapped[str | None]
    title: Mapped[str | None]
    source: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(JSONB, server_default=sql("'[]'::jsonb"))
    extra_meta: Mapped[dict[str, Any]] = json_object()
    # Checksum and text are those of the version that retrieval cites: they change when a new version takes over.
    checksum: Mapped[str]
    text: Mapped[str]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()
    deleted_at: Mapped[datetime | None]


class DocumentVersion(Base):
    __tablename__ = "document_versions"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "version_id"),
        tenant_of("documents", "dataset_id", "doc_id", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "dataset_id", "doc_id", "number"),
        # One version serves; the next takes over in the transaction that supersedes it.
        Index(
            "uq_document_versions_ready",
            "tenant_id",
            "dataset_id",
            "doc_id",
            unique=True,
            postgresql_where=sql("state = 'ready'"),
        ),
        CheckConstraint("state in ('indexing', 'ready', 'failed', 'superseded')", name="state_known"),
        CheckConstraint("chunk_size > 0 and chunk_overlap >= 0 and chunk_overlap < chunk_size", name="chunking"),
    )

    tenant_id: Mapped[str]
    version_id: Mapped[uuid.UUID]
    dataset_id: Mapped[str]
    doc_id: Mapped[str]
    number: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    checksum: Mapped[str]
    text: Mapped[str]
    title: Mapped[str | None]
    embed_model: Mapped[str]
    chunker: Mapped[str]
    chunk_size: Mapped[int] = mapped_column(Integer)
    chunk_overlap: Mapped[int] = mapped_column(Integer)
    refine: Mapped[str]
    build_tree: Mapped[bool] = mapped_column(Boolean)
    chunk_count: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = created()
    embedded_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]


class Chunk(Base):
    __tablename__ = "chunks"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "chunk_id"),
        tenant_of("document_versions", "version_id", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "version_id", "idx"),
        CheckConstraint("start_char >= 0 and end_char > start_char", name="span"),
    )

    tenant_id: Mapped[str]
    chunk_id: Mapped[uuid.UUID]
    dataset_id: Mapped[str]
    doc_id: Mapped[str]
    version_id: Mapped[uuid.UUID]
    idx: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]
    start_char: Mapped[int] = mapped_column(Integer)
    end_char: Mapped[int] = mapped_column(Integer)
    heading_path: Mapped[list[str]]
    token_cnt: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str]
    meta: Mapped[dict[str, Any]] = json_object()


class Embedding(Base):
    __tablename__ = "embeddings"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        tenant_of("datasets", "dataset_id", ondelete="CASCADE"),
        Index("ix_embeddings_owner", "tenant_id", "dataset_id", "owner_type", "owner_id"),
        Index("ix_embeddings_generation", "tenant_id", "generation_id"),
        Index("ix_embeddings_content", "tenant_id", "content_key"),
        CheckConstraint("owner_type in ('chunk', 'tree_node')", name="owner_type_known"),
        CheckConstraint("vector_dims(v) = dim", name="dimension"),
    )

    tenant_id: Mapped[str]
    id: Mapped[uuid.UUID]
    dataset_id: Mapped[str]
    owner_type: Mapped[str]
    owner_id: Mapped[uuid.UUID]
    # The document version or the tree that the owner belongs to: retrieval reads the live generations, so that a
    # switch of versions or trees touches no vector.
    generation_id: Mapped[uuid.UUID]
    level: Mapped[int] = mapped_column(SmallInteger)
    model: Mapped[str]
    dim: Mapped[int] = mapped_column(Integer)
    # SHA-256 over model and embedded text: the same text is never sent twice within a tenant.
    content_key: Mapped[bytes]
    v: Mapped[Any] = mapped_column(Vector)
    meta: Mapped[dict[str, Any]] = json_object()
    created_at: Mapped[datetime] = created()


class Posting(Base):
    """For BM25. A row holds all places of one level of a generation in which the term stands: a chunk's `idx`, a
    summary's `position`. The three arrays are parallel."""

    __tablename__ = "postings"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "dataset_id", "term", "generation_id", "level"),
        tenant_of("datasets", "dataset_id", ondelete="CASCADE"),
        Index("ix_postings_generation", "tenant_id", "generation_id"),
    )

    tenant_id: Mapped[str]
    dataset_id: Mapped[str]
    term: Mapped[str]
    generation_id: Mapped[uuid.UUID]
    level: Mapped[int] = mapped_column(SmallInteger)
    places: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    frequencies: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    lengths: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class PostingTotal(Base):
    """What BM25 reckons with beside the postings: how many texts, and how many terms in them."""

    __tablename__ = "posting_totals"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "dataset_id", "generation_id", "level"),
        tenant_of("datasets", "dataset_id", ondelete="CASCADE"),
        Index("ix_posting_totals_generation", "tenant_id", "generation_id"),
    )

    tenant_id: Mapped[str]
    dataset_id: Mapped[str]
    generation_id: Mapped[uuid.UUID]
    level: Mapped[int] = mapped_column(SmallInteger)
    nodes: Mapped[int] = mapped_column(Integer)
    length: Mapped[int] = mapped_column(BigInteger)


class Tree(Base):
    __tablename__ = "trees"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "tree_id"),
        tenant_of("datasets", "dataset_id", ondelete="CASCADE"),
        Index("ix_trees_dataset", "tenant_id", "dataset_id", "state"),
        # A build is found again by its fingerprint, and there is one of it.
        Index(
            "uq_trees_building",
            "tenant_id",
            "dataset_id",
            unique=True,
            postgresql_where=sql("state = 'building'"),
        ),
        CheckConstraint("state in ('building', 'live', 'superseded')", name="state_known"),
    )

    tenant_id: Mapped[str]
    tree_id: Mapped[uuid.UUID]
    dataset_id: Mapped[str]
    doc_id: Mapped[str | None]
    state: Mapped[str]
    fingerprint: Mapped[str]
    revision: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[dict[str, Any]] = json_object()
    stats: Mapped[dict[str, Any]] = json_object()
    root_id: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime] = created()
    published_at: Mapped[datetime | None]


class TreeNode(Base):
    __tablename__ = "tree_nodes"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "tree_id", "node_id"),
        tenant_of("trees", "tree_id", ondelete="CASCADE"),
        tenant_of("chunks", "chunk_id", ondelete="CASCADE"),
        Index("ix_tree_nodes_level", "tenant_id", "tree_id", "level", "position"),
        Index("ix_tree_nodes_node_id", "tenant_id", "node_id"),
        Index("ix_tree_nodes_chunk_id", "tenant_id", "chunk_id"),
        CheckConstraint("kind in ('leaf', 'summary', 'root')", name="kind_known"),
        CheckConstraint("(kind = 'leaf') = (chunk_id is not null) and (kind = 'leaf') = (level = 0)", name="leaf"),
    )

    tenant_id: Mapped[str]
    tree_id: Mapped[uuid.UUID]
    # A leaf's id is its chunk's, so that links to it outlive a rebuild.
    node_id: Mapped[uuid.UUID]
    level: Mapped[int] = mapped_column(SmallInteger)
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str]
    chunk_id: Mapped[uuid.UUID | None]
    # Null for leaves (the chunk has them) and for a summary that is planned and not yet written.
    title: Mapped[str | None]
    text: Mapped[str | None]
    token_cnt: Mapped[int | None] = mapped_column(Integer)
    # Follows from the members' content alone: the same group has the same key in every tree. Null for leaves.
    group_key: Mapped[str | None]
    # True from the moment that text it was written from is deleted or superseded: retrieval leaves it out.
    stale: Mapped[bool] = mapped_column(Boolean, server_default=sql("false"))
    meta: Mapped[dict[str, Any]] = json_object()
    created_at: Mapped[datetime] = created()


class TreeEdge(Base):
    __tablename__ = "tree_edges"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "tree_id", "parent_id", "child_id"),
        tenant_of(
            "tree_nodes",
            "tree_id",
            "parent_id",
            on=("tree_id", "node_id"),
            name="fk_tree_edges_parent",
            ondelete="CASCADE",
        ),
        tenant_of(
            "tree_nodes",
            "tree_id",
            "child_id",
            on=("tree_id", "node_id"),
            name="fk_tree_edges_child",
            ondelete="CASCADE",
        ),
        Index("ix_tree_edges_child", "tenant_id", "tree_id", "child_id"),
        # The soft graph has one tree inside it: exactly one primary parent a child.
        Index(
            "uq_tree_edges_primary",
            "tenant_id",
            "tree_id",
            "child_id",
            unique=True,
            postgresql_where=sql("is_primary"),
        ),
    )

    tenant_id: Mapped[str]
    tree_id: Mapped[uuid.UUID]
    parent_id: Mapped[uuid.UUID]
    child_id: Mapped[uuid.UUID]
    weight: Mapped[float] = mapped_column(REAL)
    is_primary: Mapped[bool] = mapped_column(Boolean)
    position: Mapped[int] = mapped_column(Integer)


class TreeNodeChunk(Base):
    """Provenance: the chunks that a summary's text was written from, at the time of writing."""

    __tablename__ = "tree_node_chunks"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "tree_id", "node_id", "chunk_id"),
        tenant_of("tree_nodes", "tree_id", "node_id", ondelete="CASCADE"),
        tenant_of("chunks", "chunk_id", ondelete="CASCADE"),
        Index("ix_tree_node_chunks_chunk_id", "tenant_id", "chunk_id"),
    )

    tenant_id: Mapped[str]
    tree_id: Mapped[uuid.UUID]
    node_id: Mapped[uuid.UUID]
    chunk_id: Mapped[uuid.UUID]
    rank: Mapped[int] = mapped_column(Integer)


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "job_id"),
        tenant_of("datasets", "dataset_id", ondelete="CASCADE"),
        Index("ix_jobs_created_at", "tenant_id", "created_at", "job_id"),
        Index("ix_jobs_dataset", "tenant_id", "dataset_id", "status"),
        # Coalescing: of all that ask for a build while none has started, one job does it.
        Index(
            "uq_jobs_queued_build",
            "tenant_id",
            "dataset_id",
            unique=True,
            postgresql_where=sql("job_type = 'build' and status = 'queued'"),
        ),
        CheckConstraint("status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status_known"),
        CheckConstraint("job_type in ('ingest', 'build', 'mend')", name="job_type_known"),
        CheckConstraint("progress between 0 and 1", name="progress_share"),
    )

    tenant_id: Mapped[str]
    job_id: Mapped[uuid.UUID]
    dataset_id: Mapped[str]
    job_type: Mapped[str]
    doc_id: Mapped[str | None]
    version_id: Mapped[uuid.UUID | None]
    status: Mapped[str]
    stage: Mapped[str]
    progress: Mapped[float] = mapped_column(REAL, server_default=sql("0"))
    # The fencing token: a write of an attempt that is no longer the current one changes nothing.
    attempts: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    # An ingest that waits for its tree names the dataset revision which that tree has to reach.
    awaits_revision: Mapped[int | None] = mapped_column(BigInteger)
    queue_job_id: Mapped[int | None] = mapped_column(BigInteger)
    params: Mapped[dict[str, Any]] = json_object()
    result: Mapped[dict[str, Any]] = json_object()
    usage: Mapped[dict[str, Any]] = json_object()
    timings: Mapped[dict[str, Any]] = json_object()
    # What the stage is doing now: level, done and planned summaries, seconds left.
    detail: Mapped[dict[str, Any]] = json_object()
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = created()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = created()


class JobSecret(Base):
    """A key that a caller brought, encrypted for as long as the job needs it."""

    __tablename__ = "job_secrets"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "job_id", "provider"),
        tenant_of("jobs", "job_id", ondelete="CASCADE"),
        Index("ix_job_secrets_expires_at", "expires_at"),
    )

    tenant_id: Mapped[str]
    job_id: Mapped[uuid.UUID]
    provider: Mapped[str]
    ciphertext: Mapped[bytes]
    expires_at: Mapped[datetime]


class ModelCall(Base):
    """A result that was paid for, addressed by what was asked."""

    __tablename__ = "model_calls"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "key"),
        tenant_of("tenants", ondelete="CASCADE"),
        Index("ix_model_calls_last_used_at", "tenant_id", "last_used_at"),
    )

    tenant_id: Mapped[str]
    key: Mapped[bytes]
    kind: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    output: Mapped[dict[str, Any]] = json_object()
    usage: Mapped[dict[str, Any]] = json_object()
    size: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    created_at: Mapped[datetime] = created()
    last_used_at: Mapped[datetime] = created()


class UsageLedger(Base):
    """What was used and what it cost, by day, job, stage and model. It outlives the datasets and jobs that it names."""

    __tablename__ = "usage_ledger"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "day", "dataset_id", "job_id", "stage", "provider", "model"),
        tenant_of("tenants", ondelete="CASCADE"),
    )

    tenant_id: Mapped[str]
    day: Mapped[date]
    dataset_id: Mapped[str]
    job_id: Mapped[str]
    stage: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    calls: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cached_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_hits: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[float] = mapped_column(DOUBLE_PRECISION)


class ProviderLimit(Base):
    """What a provider allows on a key, as far as it is known. A key may serve several tenants: it has no tenant."""

    __tablename__ = "provider_limits"
    __table_args__ = (PrimaryKeyConstraint("provider", "key_hash"),)

    provider: Mapped[str]
    key_hash: Mapped[str]
    rpm: Mapped[int | None] = mapped_column(Integer)
    tpm: Mapped[int | None] = mapped_column(Integer)
    learnt_rpm: Mapped[int | None] = mapped_column(Integer)
    learnt_concurrency: Mapped[int | None] = mapped_column(Integer)
    blocked_until: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]


class ProviderCall(Base):
    """Calls of the last minutes on a key: what the limiter counts."""

    __tablename__ = "provider_calls"
    __table_args__ = (
        PrimaryKeyConstraint("provider", "key_hash", "call_id"),
        # Losing it in a crash of the server means one minute of unknown calls, not lost data.
        {"prefixes": ["UNLOGGED"]},
    )

    provider: Mapped[str]
    key_hash: Mapped[str]
    call_id: Mapped[uuid.UUID]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    tokens: Mapped[int] = mapped_column(Integer)
    ok: Mapped[bool] = mapped_column(Boolean)
