"""The nouns of the contract as frozen values: tenant, dataset, document, version, chunk."""

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
# How chunks are refined; `auto` is a wish, and never a stored version's: see `services/ingest/upload.py`.
Refine = Literal["auto", "off", "heuristic", "llm"]


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
    generation: int = 0
    sync_root: str | None = None


@dataclass(frozen=True, slots=True)
class ChunkingParams:
    """How a text is cut: sizes in characters."""

    chunker: str = "markdown"
    size: int = 1200
    overlap: int = 200
    refine: Refine = "off"


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
class Document:
    dataset_id: str
    doc_id: str
    file_name: str | None
    title: str | None
    source: str | None
    identity: str
    tags: Sequence[str]
    extra_meta: JsonObject
    synced: bool
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
