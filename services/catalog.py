"""The reading side: what clients list and look at. Pages are asked for by the position after which they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from services.domain import Chunk, Document, DocumentVersion, EmbeddingSpace, Job, JsonObject, NodeKind, Tree

EmbeddingStatus = Literal["not_started", "pending", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A document with the state of its newest version; `text` only where one document was asked for."""

    document: Document
    status: str
    version_id: UUID | None
    chunks: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    dataset_id: str
    space: EmbeddingSpace
    vector_index: str
    settings: JsonObject
    documents: int
    chunks: int
    live_tree: Tree | None
    wanted_revision: int
    built_revision: int
    embedding_status: EmbeddingStatus
    embedding_progress: float
    embedding_error: JsonObject | None
    documents_outside_tree: int
    usage: JsonObject
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """A node of a tree as a list shows it; a leaf has its place in its document."""

    node_id: UUID
    level: int
    position: int
    kind: NodeKind
    title: str | None
    text: str | None
    token_cnt: int | None
    stale: bool
    children: int
    primary_parent: UUID | None
    doc_id: str | None
    heading_path: tuple[str, ...]
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node at the other end of an edge."""

    node_id: UUID
    level: int
    kind: NodeKind
    title: str | None
    weight: float
    is_primary: bool


@dataclass(frozen=True, slots=True)
class NodeDetail:
    node: NodeEntry
    dataset_id: str
    tree_id: UUID | None
    meta: JsonObject
    parents: Sequence[Neighbour]
    children: Sequence[Neighbour]
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    dataset_id: str
    space: EmbeddingSpace
    vectors: int
    vector_index: str
    indexed: bool
    dirty: bool


class Catalog(Protocol):
    async def datasets(self, after: tuple[str] | None, limit: int) -> list[DatasetEntry]: ...

    async def dataset(self, dataset_id: str) -> DatasetEntry:
        """Raises DatasetNotFound."""
        ...

    async def documents(
        self, dataset_id: str, after: tuple[datetime, str] | None, limit: int
    ) -> list[DocumentEntry]: ...

    async def document(self, doc_id: str, dataset_id: str | None, *, deleted: bool = False) -> DocumentEntry:
        """`deleted`: one that is softly deleted too. Raises DocumentNotFound, AmbiguousDocument."""
        ...

    async def versions(self, dataset_id: str, doc_id: str) -> list[DocumentVersion]: ...

    async def chunks(self, version_id: UUID, after: tuple[int] | None, limit: int) -> list[Chunk]: ...

    async def jobs(
        self,
        after: tuple[datetime, UUID] | None,
        limit: int,
        *,
        status: str | None,
        dataset_id: str | None,
    ) -> list[Job]: ...

    async def tree(self, dataset_id: str) -> Tree:
        """Raises TreeNotFound."""
        ...

    async def level_sizes(self, tree_id: UUID) -> dict[int, int]: ...

    async def nodes(
        self, tree_id: UUID, after: tuple[int, int] | None, limit: int, *, level: int | None
    ) -> list[NodeEntry]:
        """From the root down, each level in reading order."""
        ...

    async def node(self, node_id: UUID) -> NodeDetail:
        """Raises NodeNotFound."""
        ...

    async def queue(self) -> dict[str, int]: ...

    async def indexes(self) -> list[IndexEntry]: ...
