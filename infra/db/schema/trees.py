"""Tables of trees and of the generations that they are live in."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from infra.db.schema.columns import (
    EMPTY_OBJECT,
    FALSE,
    NOW,
    TIME,
    metadata,
    optional,
    owned_by,
    required,
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
