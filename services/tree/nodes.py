"""A tree and its nodes: leaves as the level loop sees them, summaries as they are planned and as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.domain import JsonObject

NodeKind = Literal["leaf", "summary", "root"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A chunk as the level loop sees it. `document` is the document's identity, which orders the documents."""

    chunk_id: UUID
    version_id: UUID
    doc_id: str
    document: str
    idx: int
    token_cnt: int
    hash: str
    heading_path: tuple[str, ...]
    lasting_key: str | None = None

    @property
    def key(self) -> str:
        """In a tree that was clustered as a whole it follows from the content and its place alone, so that the same
        documents give the same tree anywhere; a passage that stays keeps it in the generations after."""
        return self.lasting_key or f"{self.hash[:32]}/{self.document}/{self.idx}"


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
class StoredLevel:
    """A level of a tree that is being built, as an earlier attempt committed it."""

    level: int
    planned: tuple[PlannedNode, ...]
    written: Mapping[UUID, WrittenNode]


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
