"""Trees and their nodes as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.engine import RowMapping

from infra.db.schema import chunks, datasets, tree_edges, tree_node_chunks, tree_nodes
from interfaces_adaptor.repositories.trees import Trees
from interfaces_adaptor.repositories.versions import chunk_from
from services.domain import Chunk, JsonObject
from services.errors import DatasetNotFound, NodeNotFound, TreeNotFound
from services.tree.nodes import NodeKind, Tree


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


NODES = """
    select s.dataset_id, n.node_id, n.tree_id, n.level, n.position, n.kind, n.title,
        coalesce(n.text, c.text) as text, n.token_cnt, n.stale,
        n.meta, c.doc_id, c.heading_path, c.start_char, c.end_char,
        (select count(*) from tree_edges e where e.tenant_id = n.tenant_id and e.tree_id = n.tree_id
            and e.parent_id = n.node_id) as children,
        (select e.parent_id from tree_edges e where e.tenant_id = n.tenant_id and e.tree_id = n.tree_id
            and e.child_id = n.node_id and e.is_primary) as primary_parent
    from datasets s
    join tree_nodes n on n.tenant_id = s.tenant_id and n.tree_id = s.live_tree_id
    left join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
    where s.tenant_id = :tenant
        and (cast(:tree as uuid) is null or n.tree_id = :tree)
        and (cast(:node as uuid) is null or n.node_id = :node)
        and (cast(:level as int) is null or n.level = :level)
        and (cast(:after_level as int) is null
            or (-n.level, n.position) > (-cast(:after_level as int), cast(:after_position as int)))
    order by n.level desc, n.position limit :limit
"""


# Passages that are shown under one node.
MOST_CHUNKS = 500


class NodeEntries(Trees):
    async def served_tree(self, dataset_id: str) -> Tree:
        there = await self.first(
            select(datasets.c.live_tree_id).where(self.own(datasets), datasets.c.dataset_id == dataset_id)
        )
        if there is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        tree = await self.get_tree(there["live_tree_id"]) if there["live_tree_id"] is not None else None
        if tree is None:
            raise TreeNotFound(dataset_id=dataset_id)
        return tree

    async def level_sizes(self, tree_id: UUID) -> dict[int, int]:
        of = tree_nodes.c
        rows = await self.all(
            select(of.level, func.count().label("nodes"))
            .where(self.own(tree_nodes), of.tree_id == tree_id)
            .group_by(of.level)
            .order_by(of.level.desc())
        )
        return {row["level"]: row["nodes"] for row in rows}

    async def list_nodes(
        self, tree_id: UUID, after: tuple[int, int] | None, limit: int, *, level: int | None
    ) -> list[NodeEntry]:
        after_level, after_position = after or (None, 0)
        rows = await self.all(
            NODES,
            tree=tree_id,
            node=None,
            level=level,
            after_level=after_level,
            after_position=after_position,
            limit=limit,
        )
        return [node_from(row) for row in rows]

    async def describe_node(self, node_id: UUID) -> NodeDetail:
        row = await self.first(NODES, tree=None, node=node_id, level=None, after_level=None, after_position=0, limit=1)
        if row is None:
            raise NodeNotFound(node_id=node_id.hex)
        tree_id, edges = row["tree_id"], tree_edges.c
        return NodeDetail(
            node=node_from(row),
            dataset_id=row["dataset_id"],
            tree_id=tree_id,
            meta=row["meta"],
            parents=await self._neighbours(tree_id, node_id, far=edges.parent_id, near=edges.child_id),
            children=await self._neighbours(tree_id, node_id, far=edges.child_id, near=edges.parent_id),
            chunks=await self._chunks_under(tree_id, node_id, leaf=row["level"] == 0),
        )

    async def _neighbours(
        self, tree_id: UUID, node_id: UUID, *, far: ColumnElement[UUID], near: ColumnElement[UUID]
    ) -> Sequence[Neighbour]:
        n, e = tree_nodes.c, tree_edges.c
        ends = and_(n.tenant_id == e.tenant_id, n.tree_id == e.tree_id, n.node_id == far)
        rows = await self.all(
            select(n.node_id, n.level, n.kind, n.title, e.weight, e.is_primary)
            .select_from(tree_edges.join(tree_nodes, ends))
            .where(self.own(tree_edges), e.tree_id == tree_id, near == node_id)
            .order_by(e.position, n.position)
        )
        return [Neighbour(**row) for row in rows]

    async def _chunks_under(self, tree_id: UUID, node_id: UUID, *, leaf: bool) -> Sequence[Chunk]:
        of = tree_node_chunks.c
        written_from = and_(chunks.c.tenant_id == of.tenant_id, chunks.c.chunk_id == of.chunk_id)
        under = (
            select(chunks)
            .select_from(chunks.join(tree_node_chunks, written_from))
            .where(self.own(tree_node_chunks), of.tree_id == tree_id, of.node_id == node_id)
            .order_by(of.rank)
            .limit(MOST_CHUNKS)
        )
        itself = select(chunks).where(self.own(chunks), chunks.c.chunk_id == node_id)
        rows = await self.all(itself if leaf else under)
        return [chunk_from(row) for row in rows]


def node_from(row: RowMapping) -> NodeEntry:
    return NodeEntry(
        node_id=row["node_id"],
        level=row["level"],
        position=row["position"],
        kind=row["kind"],
        title=row["title"],
        text=None if row["stale"] else row["text"],
        token_cnt=row["token_cnt"],
        stale=row["stale"],
        children=row["children"],
        primary_parent=row["primary_parent"],
        doc_id=row["doc_id"],
        heading_path=tuple(row["heading_path"] or ()),
        start=row["start_char"],
        end=row["end_char"],
    )
