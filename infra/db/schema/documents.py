"""Tables of what clients bring: datasets, documents, chunks, their vectors and postings."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from infra.db.schema.columns import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    FALSE,
    INTEGERS,
    NOW,
    TEXTS,
    TIME,
    ZERO,
    Vector,
    metadata,
    optional,
    owned_by,
    required,
)

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
    optional("name", Text, "shown to people; null: `dataset_id` has to do"),
    optional("description", Text, "what it is about, in its owner's words"),
    required("embed_provider", Text, "provider of the active embedding space"),
    required("embed_model", Text, "its model"),
    required("embed_dim", Integer, "its dimensions: vectors of another space are never compared with these"),
    required("vector_index", Text, "`hnsw_cosine`, `hnsw_ip`, `hnsw_l2` or `exact`"),
    required(
        "settings", JSONB, "tree parameters and `refine` where they differ from the service's", default=EMPTY_OBJECT
    ),
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
    optional("sync_root", Text, "the folder that `raptor sync` keeps it equal to"),
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
    required(
        "given", JSONB, "`tags` and `meta` as requests gave them; what none gave is the text's", default=EMPTY_OBJECT
    ),
    required(
        "synced",
        Boolean,
        "a file of the dataset's `sync_root`, at the path in `source`: it goes when the file goes",
        default=FALSE,
    ),
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
    required("term", Text, "as `services/text/index_terms.py` makes it, at most 128 characters"),
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
