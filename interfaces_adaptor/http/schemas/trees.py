"""Trees, nodes and chunks in responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from interfaces_adaptor.http.schemas.envelope import Hex
from interfaces_adaptor.repositories.node_entries import Neighbour, NodeDetail, NodeEntry
from services.domain import Chunk
from services.tree.nodes import NodeKind, Tree, tree_name


class ChunkOut(BaseModel):
    id: Hex
    doc_id: str
    version_id: Hex
    idx: int
    text: str
    start: int
    end: int
    heading_path: list[str]
    token_cnt: int
    hash: str
    meta: dict[str, Any]

    @classmethod
    def of(cls, chunk: Chunk) -> ChunkOut:
        return cls(
            id=chunk.chunk_id,
            doc_id=chunk.doc_id,
            version_id=chunk.version_id,
            idx=chunk.idx,
            text=chunk.text,
            start=chunk.start,
            end=chunk.end,
            heading_path=list(chunk.heading_path),
            token_cnt=chunk.token_cnt,
            hash=chunk.hash,
            meta=dict(chunk.meta),
        )


class LiveTreeOut(BaseModel):
    tree_id: str
    root_id: Hex | None
    doc_id: str | None
    params: dict[str, Any]
    stats: dict[str, Any]
    created_at: datetime
    published_at: datetime | None

    @classmethod
    def of(cls, tree: Tree) -> LiveTreeOut:
        return cls(
            tree_id=tree_name(tree.tree_id),
            root_id=tree.root_id,
            doc_id=tree.doc_id,
            params=dict(tree.params),
            stats=dict(tree.stats),
            created_at=tree.created_at,
            published_at=tree.published_at,
        )


class NodeOut(BaseModel):
    node_id: Hex
    level: int
    kind: NodeKind
    title: str | None
    text: str | None
    token_cnt: int | None
    stale: bool
    children: int
    primary_parent: Hex | None
    doc_id: str | None
    heading_path: list[str]
    start: int | None
    end: int | None

    @classmethod
    def of(cls, node: NodeEntry) -> NodeOut:
        return cls(
            node_id=node.node_id,
            level=node.level,
            kind=node.kind,
            title=node.title,
            text=node.text,
            token_cnt=node.token_cnt,
            stale=node.stale,
            children=node.children,
            primary_parent=node.primary_parent,
            doc_id=node.doc_id,
            heading_path=list(node.heading_path),
            start=node.start,
            end=node.end,
        )


class NeighbourOut(BaseModel):
    node_id: Hex
    level: int
    kind: NodeKind
    title: str | None
    weight: float
    is_primary: bool

    @classmethod
    def of(cls, neighbour: Neighbour) -> NeighbourOut:
        return cls(
            node_id=neighbour.node_id,
            level=neighbour.level,
            kind=neighbour.kind,
            title=neighbour.title,
            weight=round(neighbour.weight, 6),
            is_primary=neighbour.is_primary,
        )


class NodeDetailOut(BaseModel):
    """A node with its neighbours; `chunks` are the passages its text was written from."""

    dataset_id: str
    tree_id: str | None
    node_id: Hex
    level: int
    kind: NodeKind
    title: str | None
    text: str | None
    token_cnt: int | None
    stale: bool
    meta: dict[str, Any]
    parents: list[NeighbourOut]
    children: list[NeighbourOut]
    chunks: list[ChunkOut]

    @classmethod
    def of(cls, detail: NodeDetail) -> NodeDetailOut:
        return cls(
            dataset_id=detail.dataset_id,
            tree_id=tree_name(detail.tree_id) if detail.tree_id else None,
            node_id=detail.node.node_id,
            level=detail.node.level,
            kind=detail.node.kind,
            title=detail.node.title,
            text=detail.node.text,
            token_cnt=detail.node.token_cnt,
            stale=detail.node.stale,
            meta=dict(detail.meta),
            parents=[NeighbourOut.of(parent) for parent in detail.parents],
            children=[NeighbourOut.of(child) for child in detail.children],
            chunks=[ChunkOut.of(chunk) for chunk in detail.chunks],
        )


class TreeLevelOut(BaseModel):
    level: int
    nodes: int
    stats: dict[str, Any]


class TreePage(LiveTreeOut):
    """The live tree: its levels from the root down, and one page of its nodes in that order."""

    dataset_id: str
    levels: list[TreeLevelOut]
    items: list[NodeOut]
    next_cursor: str | None
