"""The schema, told once: every table, column, key and index, with its meaning.

Migrations bring a database to it (a test compares the two), `Database.md` is rendered from it (`make schema`), and
simple statements are written over these tables. Keys lead with `tenant_id`: a foreign key can then never cross tenants,
and the schema can be spread by tenant.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
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

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

TIME = DateTime(timezone=True)
TEXTS, INTEGERS = ARRAY(Text()), ARRAY(Integer())
NOW, ZERO, FALSE, EMPTY = func.now(), text("0"), text("false"), text("''")
EMPTY_OBJECT, EMPTY_LIST = text("'{}'::jsonb"), text("'[]'::jsonb")


def required(name: str, kind: Any, meaning: str, *, default: Any = None) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=default, comment=meaning)


def optional(name: str, kind: Any, meaning: str) -> Column[Any]:
    return Column(name, kind, nullable=True, comment=meaning)


def owned_by(table: str, *columns: str, on: tuple[str, ...] = (), name: str | None = None) -> ForeignKeyConstraint:
    """A foreign key that leads with the tenant; what is owned goes with its owner."""
    local, referred = ("tenant_id", *columns), ("tenant_id", *(on or columns))
    return ForeignKeyConstraint(local, [f"{table}.{column}" for column in referred], name=name, ondelete="CASCADE")


tenants = Table(
    "tenants",
    metadata,
    required("tenant_id", Text, "name of the tenant, first column of every key"),
    required("name", Text, "shown to people"),
    required("created_at", TIME, "when the row was added", default=NOW),
    PrimaryKeyConstraint("tenant_id"),
    comment="Owners of keys, datasets and quotas. A fresh database has one, `default`.",
)

api_keys = Table(
    "api_keys",
    metadata,
    required("tenant_id", Text, "whose datasets the key opens"),
    required("key_id", Text, "8 hex digits, part of the key"),
    required("prefix", Text, "first 16 characters, to recognise it by"),
    required("secret_hash", LargeBinary, "SHA-256 of the whole key"),
    required("name", Text, "what or whom it is for"),
    required("created_at", TIME, "when the row was added", default=NOW),
    optional("last_used_at", TIME, "when it last opened anything"),
    optional("revoked_at", TIME, "not null: it opens nothing"),
    PrimaryKeyConstraint("tenant_id", "key_id"),
    owned_by("tenants"),
    UniqueConstraint("secret_hash"),
    comment="Who may come in. The key itself is shown once and never stored.",
)

datasets = Table(
    "datasets",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("dataset_id", Text, "the client's name for it"),
    required("embed_provider", Text, "provider of the active embedding space"),
    required("embed_model", Text, "its model"),
    required("embed_dim", Integer, "its dimensions: vectors of another space are never compared with these"),
    required("vector_index", Text, "`hnsw_cosine`, `hnsw_ip`, `hnsw_l2` or `exact`"),
    required("settings", JSONB, "tree parameters that differ from the service's", default=EMPTY_OBJECT),
    optional("live_tree_id", Uuid, "the tree that retrieval reads; null before the first"),
    required("generation", BigInteger, "number of the last generation; it grows with every switch", default=ZERO),
    required("wanted_revision", BigInteger, "raised by every change of documents", default=ZERO),
    required(
        "built_revision",
        BigInteger,
        "what the live tree has seen of them; behind `wanted_revision`: a build is due",
        default=ZERO,
    ),
    optional("wanted_since", TIME, "when the tree fell behind"),
    optional("wanted_at", TIME, "when it last fell further behind"),
    required(
        "needs_key",
        Boolean,
        "the tree is behind and waits for a caller who brings the key of its model",
        default=FALSE,
    ),
    optional(
        "ef_search", Integer, "HNSW's breadth for this dataset, set by `raptor doctor --recall`; null: the default"
    ),
    required("created_at", TIME, "when the row was added", default=NOW),
    required("updated_at", TIME, "when it last changed", default=NOW),
    PrimaryKeyConstraint("tenant_id", "dataset_id"),
    ForeignKeyConstraint(
        ("tenant_id", "live_tree_id"),
        ("trees.tenant_id", "trees.tree_id"),
        name="fk_datasets_live_tree",
        ondelete="SET NULL (live_tree_id)",
        use_alter=True,
    ),
    owned_by("tenants"),
    CheckConstraint("built_revision <= wanted_revision", name="built_not_ahead"),
    CheckConstraint("vector_index in ('hnsw_cosine', 'hnsw_ip', 'hnsw_l2', 'exact')", name="vector_index_known"),
    comment="Documents that share one tree and one embedding space.",
)

documents = Table(
    "documents",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("dataset_id", Text, "the dataset"),
    required("doc_id", Text, "given by the client or 32 hex digits"),
    required("identity", Text, "`id:…`, `source:…` or `file:…`: what makes a later upload the same document"),
    required(
        "identity_hash",
        LargeBinary,
        "SHA-256 of `identity`, unique in the dataset (a btree entry holds 2,704 bytes, a source may be longer)",
    ),
    optional("file_name", Text, "as it was uploaded"),
    optional("title", Text, "what it calls itself"),
    optional("source", Text, "where it came from"),
    required("tags", JSONB, "list of strings", default=EMPTY_LIST),
    required("extra_meta", JSONB, "its front matter, and the client's object, which wins", default=EMPTY_OBJECT),
    optional("fields", JSONB, "what filters compare, as `services/filter_fields.py` makes it"),
    required("checksum", Text, "SHA-256 of the served version's bytes"),
    required("text", Text, "the served version's text: offsets point into it"),
    required("created_at", TIME, "when the row was added", default=NOW),
    required("updated_at", TIME, "when it last changed", default=NOW),
    optional(
        "deleted_at",
        TIME,
        "not null: gone from retrieval, the row waits for an upload that revives it or a hard delete",
    ),
    PrimaryKeyConstraint("tenant_id", "dataset_id", "doc_id"),
    owned_by("datasets", "dataset_id"),
    UniqueConstraint("tenant_id", "dataset_id", "identity_hash"),
    Index("ix_documents_checksum", "tenant_id", "dataset_id", "checksum"),
    Index("ix_documents_doc_id", "tenant_id", "doc_id"),
    comment="One Markdown source.",
)

link_keys = Table(
    "link_keys",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("dataset_id", Text, "the dataset"),
    required("doc_id", Text, "the document"),
    required("is_name", Boolean, "whether the key is a name of the document, or of what it links to"),
    required("key", Text, "as `services/text/links.py` makes it, at most 300 characters"),
    PrimaryKeyConstraint("tenant_id", "dataset_id", "is_name", "key", "doc_id"),
    owned_by("documents", "dataset_id", "doc_id"),
    Index("ix_link_keys_document", "tenant_id", "dataset_id", "doc_id"),
    comment="Names of documents and links to them: where a link's key is a name's, it resolves.",
)

document_versions = Table(
    "document_versions",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("version_id", Uuid, "the version"),
    required("dataset_id", Text, "the dataset"),
    required("doc_id", Text, "the document"),
    required("number", Integer, "1, 2, … in the document"),
    required("state", Text, "`indexing`, `ready` (served), `failed`, `superseded`"),
    required("checksum", Text, "SHA-256 of the bytes"),
    required("text", Text, "the text that this version's chunks are spans of"),
    optional("title", Text, "as in `documents`"),
    required("embed_model", Text, "`provider/model`"),
    required("chunker", Text, "how the text is cut"),
    required("chunk_size", Integer, "characters"),
    required("chunk_overlap", Integer, "characters"),
    required("refine", Text, "how noise was left out and boundaries mended: `off`, `heuristic`, `llm`"),
    required("build_tree", Boolean, "whether it is to be put into the tree"),
    optional("job_id", Uuid, "the job that brings it in; null for what came before jobs were noted here"),
    optional("chunk_count", Integer, "null until it is cut"),
    required("created_at", TIME, "when the row was added", default=NOW),
    optional(
        "embedded_at",
        TIME,
        "all vectors are there; where no other version of the document is served, it is served from now on, else (with"
        " `build_tree`) from the tree's publication on",
    ),
    optional("ready_at", TIME, "when it began to be served"),
    optional("superseded_at", TIME, "when another took its place"),
    PrimaryKeyConstraint("tenant_id", "version_id"),
    owned_by("documents", "dataset_id", "doc_id"),
    UniqueConstraint("tenant_id", "dataset_id", "doc_id", "number"),
    CheckConstraint("chunk_size > 0 and chunk_overlap >= 0 and chunk_overlap < chunk_size", name="chunking"),
    CheckConstraint("state in ('indexing', 'ready', 'failed', 'superseded')", name="state_known"),
    Index("ix_document_versions_job_id", "tenant_id", "job_id"),
    Index(
        "uq_document_versions_ready",
        "tenant_id",
        "dataset_id",
        "doc_id",
        unique=True,
        postgresql_where=text("state = 'ready'"),
    ),
    comment="One processing of one content with one set of parameters. At most one version of a document is `ready`.",
)

chunks = Table(
    "chunks",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("chunk_id", Uuid, "follows from version and position, so that a repeated attempt writes the same row"),
    required("dataset_id", Text, "the dataset"),
    required("doc_id", Text, "the document"),
    required("version_id", Uuid, "the version"),
    required("idx", Integer, "position, unique in the version"),
    required("text", Text, "`version.text[start_char:end_char]`"),
    required("start_char", Integer, "offset in characters"),
    required("end_char", Integer, "offset after the last character"),
    required("heading_path", TEXTS, "titles above it, outermost first"),
    required("token_cnt", Integer, "estimate"),
    required("hash", Text, "SHA-256 of `text`"),
    required(
        "meta",
        JSONB,
        "`overlap`, `table_header`, `fence`; `dropped` ranges before it, `refinement` skipped",
        default=EMPTY_OBJECT,
    ),
    PrimaryKeyConstraint("tenant_id", "chunk_id"),
    owned_by("document_versions", "version_id"),
    UniqueConstraint("tenant_id", "version_id", "idx"),
    CheckConstraint("start_char >= 0 and end_char > start_char", name="span"),
    comment="A piece of one version.",
)

embeddings = Table(
    "embeddings",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("id", Uuid, "follows from owner and model"),
    required("dataset_id", Text, "the dataset"),
    required("owner_type", Text, "`chunk` or `tree_node`"),
    required("owner_id", Uuid, "the chunk or node"),
    required("generation_id", Uuid, "the version or tree that the owner belongs to: a switch touches no vector"),
    required("level", SmallInteger, "0 for chunks"),
    required("model", Text, "`provider/model`"),
    required("dim", Integer, "checked against the vector"),
    required("content_key", LargeBinary, "SHA-256 over model and embedded text: known text is not sent again"),
    required("v", Vector, "pgvector, any dimension, length 1"),
    required("meta", JSONB, "reserved", default=EMPTY_OBJECT),
    required("created_at", TIME, "when the row was added", default=NOW),
    PrimaryKeyConstraint("tenant_id", "id"),
    owned_by("datasets", "dataset_id"),
    CheckConstraint("vector_dims(v) = dim", name="dimension"),
    CheckConstraint("owner_type in ('chunk', 'tree_node')", name="owner_type_known"),
    Index("ix_embeddings_content", "tenant_id", "content_key"),
    Index("ix_embeddings_generation", "tenant_id", "generation_id"),
    Index("ix_embeddings_owner", "tenant_id", "dataset_id", "owner_type", "owner_id"),
    comment=(
        "Vectors of chunks and of summaries. Large datasets have an HNSW index of their own over theirs "
        "(`hnsw_<hash>`), made and dropped as they grow; it is no part of the migrations."
    ),
)

postings = Table(
    "postings",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("dataset_id", Text, "the dataset"),
    required("term", Text, "as `services/text/words.py` makes it, at most 128 characters"),
    required("generation_id", Uuid, "the version or tree that the texts belong to: a switch touches no posting"),
    required("level", SmallInteger, "0 for chunks"),
    required("places", INTEGERS, "`chunks.idx`, or `tree_nodes.position`"),
    required("frequencies", INTEGERS, "how often the term stands there; parallel to `places`"),
    required("lengths", INTEGERS, "terms of that text; parallel to `places`"),
    PrimaryKeyConstraint("tenant_id", "dataset_id", "term", "generation_id", "level"),
    owned_by("datasets", "dataset_id"),
    Index("ix_postings_generation", "tenant_id", "generation_id"),
    comment=(
        "For BM25: where each term stands. A row holds all places of one level of a generation, so that a long "
        "document costs a row a term, not a row a term and passage."
    ),
)

posting_totals = Table(
    "posting_totals",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("dataset_id", Text, "the dataset"),
    required("generation_id", Uuid, "as in `postings`"),
    required("level", SmallInteger, "as in `postings`"),
    required("nodes", Integer, "texts"),
    required("length", BigInteger, "terms of all of them"),
    required("rule", SmallInteger, "`RULE` of services/text/postings.py that they were made by", default=text("1")),
    PrimaryKeyConstraint("tenant_id", "dataset_id", "generation_id", "level"),
    owned_by("datasets", "dataset_id"),
    Index("ix_posting_totals_generation", "tenant_id", "generation_id"),
    comment=(
        "What BM25 reckons with beside the postings: how many texts a level of a generation has, and how many terms."
    ),
)

trees = Table(
    "trees",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("tree_id", Uuid, "clients see `<hex>::tree`"),
    required("dataset_id", Text, "the dataset"),
    optional("doc_id", Text, "where all leaves are of one document"),
    required("state", Text, "`building`, `live`, `superseded`"),
    required(
        "fingerprint",
        Text,
        "over leaves, parameters and models: the same one is the same tree, and finds a build that was killed",
    ),
    required("revision", BigInteger, "`wanted_revision` that it holds"),
    required("params", JSONB, "how it was made", default=EMPTY_OBJECT),
    required(
        "stats", JSONB, "depth, levels (n, clusters, sizes, best BIC, seconds), usage, timings", default=EMPTY_OBJECT
    ),
    optional("root_id", Uuid, "its root; null while it is built"),
    required("created_at", TIME, "when the row was added", default=NOW),
    optional("published_at", TIME, "when it became live"),
    PrimaryKeyConstraint("tenant_id", "tree_id"),
    owned_by("datasets", "dataset_id"),
    CheckConstraint("state in ('building', 'live', 'superseded')", name="state_known"),
    Index("ix_trees_dataset", "tenant_id", "dataset_id", "state"),
    Index("uq_trees_building", "tenant_id", "dataset_id", unique=True, postgresql_where=text("state = 'building'")),
    comment=(
        "A RAPTOR tree. One is under construction at most, one is live at most; a superseded one stays while a "
        "generation stands on it."
    ),
)

generations = Table(
    "generations",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("dataset_id", Text, "the dataset"),
    required("generation", BigInteger, "1, 2, … in the dataset, never given twice"),
    required("tree_id", Uuid, "what was live; after a roll-back two generations have one tree"),
    required("reason", Text, "`first_build`, `maintained`, `clustered` (as a whole), `mended`, `rolled_back`"),
    optional("restored", BigInteger, "of a roll-back: the generation that is served again"),
    required("documents", Integer, "under the tree when it became live"),
    optional("added", Integer, "documents that the generation before did not have; null: not known"),
    optional("changed", Integer, "documents with another version than in the generation before; null: not known"),
    optional("removed", Integer, "documents that only the generation before had; null: not known"),
    required("published_at", TIME, "when it became live"),
    optional("superseded_at", TIME, "when another took its place; null: it is live"),
    optional("erased_at", TIME, "not null: a document was erased since, so that there is no way back to it"),
    PrimaryKeyConstraint("tenant_id", "dataset_id", "generation"),
    owned_by("datasets", "dataset_id"),
    owned_by("trees", "tree_id"),
    CheckConstraint(
        "reason in ('first_build', 'maintained', 'clustered', 'mended', 'rolled_back')", name="reason_known"
    ),
    CheckConstraint("(reason = 'rolled_back') = (restored is not null)", name="restored"),
    Index("ix_generations_tree_id", "tenant_id", "tree_id"),
    Index(
        "uq_generations_live", "tenant_id", "dataset_id", unique=True, postgresql_where=text("superseded_at is null")
    ),
    comment="What a dataset served, from one switch to the next. The last ones are kept, to roll back to.",
)

tree_nodes = Table(
    "tree_nodes",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("tree_id", Uuid, "the tree"),
    required("node_id", Uuid, "a leaf's is its chunk's, so that links outlive a rebuild"),
    required("level", SmallInteger, "0 leaves, the root highest"),
    required("position", Integer, "reading order within the level"),
    required("kind", Text, "`leaf`, `summary`, `root`"),
    optional("chunk_id", Uuid, "of a leaf"),
    optional("title", Text, "at most 32 characters; null for leaves"),
    optional("text", Text, "null for leaves (the chunk has it) and for what is not written yet"),
    optional("token_cnt", Integer, "estimate"),
    optional("group_key", Text, "follows from the members' content: the same group has the same key in every tree"),
    required(
        "stale",
        Boolean,
        "text that it was written from is deleted or superseded: retrieval leaves it out",
        default=FALSE,
    ),
    required("meta", JSONB, "`summary_kind` and warnings", default=EMPTY_OBJECT),
    required("created_at", TIME, "when it was planned", default=NOW),
    PrimaryKeyConstraint("tenant_id", "tree_id", "node_id"),
    owned_by("chunks", "chunk_id"),
    owned_by("trees", "tree_id"),
    CheckConstraint("kind in ('leaf', 'summary', 'root')", name="kind_known"),
    CheckConstraint("(kind = 'leaf') = (chunk_id is not null) and (kind = 'leaf') = (level = 0)", name="leaf"),
    Index("ix_tree_nodes_chunk_id", "tenant_id", "chunk_id"),
    Index("ix_tree_nodes_level", "tenant_id", "tree_id", "level", "position"),
    Index("ix_tree_nodes_node_id", "tenant_id", "node_id"),
    comment="Leaves, summaries, root. A summary is planned (no text) before it is written.",
)

tree_edges = Table(
    "tree_edges",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("tree_id", Uuid, "the tree"),
    required("parent_id", Uuid, "the summary"),
    required("child_id", Uuid, "what it stands for, one level below"),
    required("weight", REAL, "membership, 0 to 1"),
    required("is_primary", Boolean, "whether the child belongs here first"),
    required("position", Integer, "reading order under the parent"),
    PrimaryKeyConstraint("tenant_id", "tree_id", "parent_id", "child_id"),
    owned_by("tree_nodes", "tree_id", "child_id", on=("tree_id", "node_id"), name="fk_tree_edges_child"),
    owned_by("tree_nodes", "tree_id", "parent_id", on=("tree_id", "node_id"), name="fk_tree_edges_parent"),
    Index("ix_tree_edges_child", "tenant_id", "tree_id", "child_id"),
    Index(
        "uq_tree_edges_primary", "tenant_id", "tree_id", "child_id", unique=True, postgresql_where=text("is_primary")
    ),
    comment="Parent and child. With soft clustering a child may have several parents; exactly one edge is primary.",
)

tree_node_chunks = Table(
    "tree_node_chunks",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("tree_id", Uuid, "the tree"),
    required("node_id", Uuid, "the node"),
    required("chunk_id", Uuid, "the chunk"),
    required("rank", Integer, "reading order"),
    PrimaryKeyConstraint("tenant_id", "tree_id", "node_id", "chunk_id"),
    owned_by("chunks", "chunk_id"),
    owned_by("tree_nodes", "tree_id", "node_id"),
    Index("ix_tree_node_chunks_chunk_id", "tenant_id", "chunk_id"),
    comment="Provenance: the chunks that a summary's text was written from. Deletion follows it.",
)

jobs = Table(
    "jobs",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("job_id", Uuid, "the job"),
    required("dataset_id", Text, "the dataset"),
    required("job_type", Text, "`ingest`, `build`, `mend`"),
    optional("doc_id", Text, "the document, where the job is about one"),
    optional("version_id", Uuid, "its version"),
    required(
        "payer",
        Text,
        "whose keys and budget pay: empty for the service's own; uploads of one share builds",
        default=EMPTY,
    ),
    required("status", Text, "`queued`, `running`, `succeeded`, `failed`, `cancelled`"),
    required("stage", Text, "what is being done"),
    required("progress", REAL, "0 to 1", default=ZERO),
    required("attempts", Integer, "the fencing token: a write of another attempt changes nothing", default=ZERO),
    optional("awaits_revision", BigInteger, "an upload that waits for its tree: the revision which that has to reach"),
    optional("queue_job_id", BigInteger, "its row in the queue"),
    required("params", JSONB, "limits, and whether a build begins at once", default=EMPTY_OBJECT),
    required("result", JSONB, "what clients get at the end", default=EMPTY_OBJECT),
    required(
        "usage",
        JSONB,
        "calls, tokens, cache hits, cost; `counted_here`: calls whose tokens the provider did not tell",
        default=EMPTY_OBJECT,
    ),
    required("timings", JSONB, "seconds by part", default=EMPTY_OBJECT),
    required("detail", JSONB, "what the stage does now: level, done, planned, seconds left", default=EMPTY_OBJECT),
    optional("error", JSONB, "code, message, details"),
    required("created_at", TIME, "when the row was added", default=NOW),
    optional("started_at", TIME, "first attempt"),
    optional("finished_at", TIME, "null while it may go on"),
    required("updated_at", TIME, "when it last changed", default=NOW),
    PrimaryKeyConstraint("tenant_id", "job_id"),
    owned_by("datasets", "dataset_id"),
    CheckConstraint("job_type in ('ingest', 'build', 'mend')", name="job_type_known"),
    CheckConstraint("progress between 0 and 1", name="progress_share"),
    CheckConstraint("status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status_known"),
    Index("ix_jobs_created_at", "tenant_id", "created_at", "job_id"),
    Index("ix_jobs_dataset", "tenant_id", "dataset_id", "status"),
    Index(
        "uq_jobs_queued_build",
        "tenant_id",
        "dataset_id",
        "payer",
        unique=True,
        postgresql_where=text("job_type = 'build' and status = 'queued'"),
    ),
    comment=(
        "What clients see of background work. The queue's own row is in `procrastinate_jobs`, inserted in the same "
        "transaction. Triggers tell on the channel `raptor_jobs` whose jobs a statement has changed."
    ),
)

uploads = Table(
    "uploads",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("upload_id", Uuid, "the upload"),
    required("dataset_id", Text, "the dataset that it will be committed to"),
    required(
        "options", JSONB, "what holds for all its documents: `build_tree`, `summary_llm`, …", default=EMPTY_OBJECT
    ),
    optional("job_id", Uuid, "the job that its commit began"),
    required("created_at", TIME, "when it was begun", default=NOW),
    required("expires_at", TIME, "removed then if it is not committed"),
    optional("committed_at", TIME, "not null: closed"),
    PrimaryKeyConstraint("tenant_id", "upload_id"),
    owned_by("tenants"),
    Index("ix_uploads_expires_at", "expires_at"),
    comment="Documents that belong together and are committed at once: one job, one build.",
)

upload_documents = Table(
    "upload_documents",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("upload_id", Uuid, "the upload"),
    required("position", Integer, "in the order in which they came"),
    required("identity_hash", LargeBinary, "SHA-256 of the document's identity, unique in the upload"),
    required("file_name", Text, "as it was sent; empty: none", default=EMPTY),
    required("fields", JSONB, "`doc_id`, `source`, `tags`, …", default=EMPTY_OBJECT),
    required("data", LargeBinary, "the file's bytes"),
    PrimaryKeyConstraint("tenant_id", "upload_id", "position"),
    owned_by("uploads", "upload_id"),
    UniqueConstraint("tenant_id", "upload_id", "identity_hash"),
    comment="What waits in an upload for its commit. Nothing of it can be read before.",
)

job_secrets = Table(
    "job_secrets",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("job_id", Uuid, "the job"),
    required("provider", Text, "the provider"),
    required("ciphertext", LargeBinary, "the key, sealed by the server's own"),
    required("expires_at", TIME, "deleted then at the latest"),
    PrimaryKeyConstraint("tenant_id", "job_id", "provider"),
    owned_by("jobs", "job_id"),
    Index("ix_job_secrets_expires_at", "expires_at"),
    comment=(
        "Keys that a caller brought, encrypted for as long as the job needs them; deleted in the transaction that "
        "ends it."
    ),
)

model_calls = Table(
    "model_calls",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("key", LargeBinary, "SHA-256 over provider, model, parameters and the whole input"),
    required("kind", Text, "`summary`, `refinement`, …"),
    required("provider", Text, "the provider"),
    required("model", Text, "the provider's name of the model"),
    required("output", JSONB, "the answer", default=EMPTY_OBJECT),
    required("usage", JSONB, "tokens", default=EMPTY_OBJECT),
    required("size", Integer, "bytes of `output`", default=ZERO),
    required("created_at", TIME, "when the row was added", default=NOW),
    required("last_used_at", TIME, "for the retention", default=NOW),
    PrimaryKeyConstraint("tenant_id", "key"),
    owned_by("tenants"),
    Index("ix_model_calls_last_used_at", "tenant_id", "last_used_at"),
    comment=(
        "Results that were paid for, addressed by what was asked; written the moment they arrive. An answer that "
        "is of no use to who asked (empty, refused, circular, no decision) is booked and not kept: the next "
        "attempt asks again."
    ),
)

model_call_sources = Table(
    "model_call_sources",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("key", LargeBinary, "the result's"),
    required("dataset_id", Text, "the document's dataset"),
    required("doc_id", Text, "the document"),
    PrimaryKeyConstraint("tenant_id", "key", "dataset_id", "doc_id"),
    owned_by("model_calls", "key"),
    Index("ix_model_call_sources_document", "tenant_id", "dataset_id", "doc_id"),
    comment=(
        "The documents whose text a paid result was written from, of whichever upload or build asked for it: it is "
        "erased with the first of them that is erased."
    ),
)

usage_ledger = Table(
    "usage_ledger",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("day", Date, "UTC"),
    required("dataset_id", Text, "empty: none"),
    required("job_id", Text, "hex; empty for questions"),
    required("stage", Text, "`summary`, `refinement`, `embed`, `query`, `rerank`, `answer`"),
    required("provider", Text, "the provider"),
    required("model", Text, "the provider's name of the model"),
    required("calls", BigInteger, "calls that were made"),
    required("input_tokens", BigInteger, "tokens that were sent"),
    required("output_tokens", BigInteger, "tokens that came back"),
    required("cached_tokens", BigInteger, "of the input, those the provider had seen before"),
    required("cache_hits", BigInteger, "results that were there already"),
    required("cost", DOUBLE_PRECISION, "US dollars"),
    PrimaryKeyConstraint("tenant_id", "day", "dataset_id", "job_id", "stage", "provider", "model"),
    owned_by("tenants"),
    comment="What was used and what it cost. It outlives the datasets and jobs that it names.",
)

provider_limits = Table(
    "provider_limits",
    metadata,
    required("provider", Text, "the provider"),
    required("key_hash", Text, "first 32 hex digits of the key's SHA-256"),
    optional("rpm", Integer, "requests a minute, as the provider's answers say"),
    optional("tpm", Integer, "tokens a minute, likewise"),
    optional(
        "learnt_rpm", Integer, "requests that went through in the minute of a refusal; forgotten after ten minutes"
    ),
    optional("learnt_concurrency", Integer, "calls that were under way at a refusal; doubles with every minute since"),
    optional("blocked_until", TIME, "nobody calls before"),
    optional("refused_at", TIME, "the last refusal"),
    PrimaryKeyConstraint("provider", "key_hash"),
    comment=(
        "What a provider allows on a key, as far as it is known. A key may serve several tenants, so that it has none."
    ),
)

provider_calls = Table(
    "provider_calls",
    metadata,
    required("provider", Text, "the provider"),
    required("key_hash", Text, "as in `provider_limits`"),
    required("call_id", Uuid, "drawn for each call"),
    required("started_at", TIME, "when it was let through"),
    optional("finished_at", TIME, "null: under way"),
    required("expires_at", TIME, "a call whose process died holds its place until then"),
    required("tokens", Integer, "expected, then real"),
    required("ok", Boolean, "whether it was answered"),
    PrimaryKeyConstraint("provider", "key_hash", "call_id"),
    prefixes=["UNLOGGED"],
    comment="Calls of the last minutes on a key: what the limiter counts. Unlogged.",
)
