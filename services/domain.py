"""The words of the product as frozen values: what travels between flows, repositories and adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NewType
from uuid import UUID

JsonObject = Mapping[str, Any]

TenantId = NewType("TenantId", str)
DEFAULT_TENANT = TenantId("default")

UpsertMode = Literal["upsert", "replace", "skip_duplicates"]
VectorIndex = Literal["hnsw_cosine", "hnsw_ip", "hnsw_l2", "exact"]
NodeKind = Literal["leaf", "summary", "root"]
JobType = Literal["ingest", "build", "mend"]
# How chunks are refined; `auto` is a wish, and never a stored version's: see `services/ingest_document.py`.
Refine = Literal["auto", "off", "heuristic", "llm"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TERMINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})


# Models and what they cost.


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Where vectors may be compared: two vectors of different spaces never are."""

    provider: str
    model: str
    dimensions: int

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls used; `cost` in US dollars. `cache_hits` are results that were there already, and free;
    `cache_misses` are those that were looked for and had to be made. `counted_here` are calls whose tokens the provider
    did not tell (Ollama, llama.cpp): `utils/tokens.py` counted them."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_hits: int = 0
    cost: float = 0.0
    cache_misses: int = 0
    counted_here: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_hits + other.cache_hits,
            self.cost + other.cost,
            self.cache_misses + other.cache_misses,
            self.counted_here + other.counted_here,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.calls - other.calls,
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cached_tokens - other.cached_tokens,
            self.cache_hits - other.cache_hits,
            self.cost - other.cost,
            self.cache_misses - other.cache_misses,
            self.counted_here - other.counted_here,
        )


# Documents.


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A piece of a source text: `source[start:end]`, offsets in characters.

    `heading_path` holds the titles above it, outermost first. `meta` tells what the span alone does not:
    `table_header` for rows cut from a table, `fence` for lines cut from a code block, `overlap` for the number of
    characters at the start that the chunk before has too.
    """

    start: int
    end: int
    heading_path: tuple[str, ...]
    meta: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkingParams:
    """How a text is cut: sizes in characters."""

    chunker: str = "markdown"
    size: int = 1200
    overlap: int = 200
    refine: Refine = "off"


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source file as text, and the title it gives itself."""

    text: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Document:
    dataset_id: str
    doc_id: str
    file_name: str | None
    title: str | None
    source: str | None
    tags: Sequence[str]
    extra_meta: JsonObject
    checksum: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """One processing of one content with one set of parameters."""

    version_id: UUID
    dataset_id: str
    doc_id: str
    number: int
    state: str
    checksum: str
    embed_model: str
    chunking: ChunkingParams
    build_tree: bool
    chunk_count: int | None
    created_at: datetime
    embedded_at: datetime | None = None
    ready_at: datetime | None = None
    superseded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored piece of one version. `hash` is the SHA-256 of its text, `start` and `end` are offsets into it."""

    chunk_id: UUID
    doc_id: str
    version_id: UUID
    idx: int
    text: str
    start: int
    end: int
    heading_path: tuple[str, ...]
    token_cnt: int
    hash: str
    meta: JsonObject


# Datasets and trees.


@dataclass(frozen=True, slots=True)
class Dataset:
    dataset_id: str
    space: EmbeddingSpace
    vector_index: VectorIndex
    settings: JsonObject
    live_tree_id: UUID | None
    wanted_revision: int
    built_revision: int
    wanted_since: datetime | None
    wanted_at: datetime | None
    created_at: datetime
    ef_search: int | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A chunk as the level loop sees it. `document` is the document's identity, which orders the documents."""

    chunk_id: UUID
    doc_id: str
    document: str
    idx: int
    token_cnt: int
    hash: str
    heading_path: tuple[str, ...]

    @property
    def key(self) -> str:
        """Follows from the content and its place alone, so that the same documents give the same tree anywhere."""
        return f"{self.hash[:32]}/{self.document}/{self.idx}"


@dataclass(frozen=True, slots=True)
class Tree:
    tree_id: UUID
    dataset_id: str
    doc_id: str | None
    state: str
    fingerprint: str
    revision: int
    params: JsonObject
    stats: JsonObject
    root_id: UUID | None
    created_at: datetime
    published_at: datetime | None


def tree_name(tree_id: UUID) -> str:
    """A tree's id as clients see it."""
    return f"{tree_id.hex}::tree"


@dataclass(frozen=True, slots=True)
class Edge:
    child_id: UUID
    weight: float
    is_primary: bool


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A summary that was decided and is not written yet, with its children in reading order."""

    node_id: UUID
    group_key: str
    position: int
    is_root: bool
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class WrittenNode:
    """The text of a planned node, and its provenance: the chunks that the text was written from."""

    node_id: UUID
    chunk_ids: tuple[UUID, ...]
    title: str
    text: str
    token_cnt: int
    meta: JsonObject


@dataclass(frozen=True, slots=True)
class Node:
    """A node as readers see it; a leaf has the text of its chunk."""

    node_id: UUID
    tree_id: UUID | None
    level: int
    kind: NodeKind
    title: str | None
    text: str
    token_cnt: int
    stale: bool
    meta: JsonObject
    children: int = 0
    chunk: Chunk | None = None


# Jobs.


@dataclass(frozen=True, slots=True)
class Job:
    job_id: UUID
    job_type: JobType
    dataset_id: str
    doc_id: str | None
    version_id: UUID | None
    status: JobStatus
    stage: str
    progress: float
    attempts: int
    awaits_revision: int | None
    params: JsonObject
    result: JsonObject
    usage: JsonObject
    timings: JsonObject
    detail: JsonObject
    error: JsonObject | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to write for a job: it ends when the job is cancelled or another attempt begins."""

    job_id: UUID
    attempt: int


# Retrieval.


@dataclass(frozen=True, slots=True)
class Filters:
    """What retrieval may return, decided before anything is ranked. A list matches any of its values."""

    doc_id: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    level: tuple[int, ...] = ()
    meta: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """A node and how well it answers; the larger the better."""

    node_id: UUID
    level: int
    score: float


@dataclass(frozen=True, slots=True)
class Branch:
    """A node that a traversal comes by. `whole`: all that it was written from is let through, so that it may be shown
    and not only gone through."""

    node: Scored
    whole: bool


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A step on the way from a node to the root, over primary edges. `title` is null where it is not served now."""

    node_id: UUID
    level: int
    title: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A node that was found. `chunk_ids` are the leaves under it, in reading order; a leaf has its own span, which is
    wider than its chunk where neighbours were merged into it. `path` leads from its parent to the root; `evidence`
    are passages under a summary, where they were asked for."""

    node_id: UUID
    kind: NodeKind
    level: int
    score: float
    title: str | None
    text: str
    token_cnt: int
    doc_id: str | None
    source: str | None
    heading_path: tuple[str, ...]
    start: int | None
    end: int | None
    chunk_ids: tuple[UUID, ...]
    path: tuple[Ancestor, ...] = ()
    evidence: tuple[Hit, ...] = ()
