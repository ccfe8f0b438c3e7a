"""Trees and their nodes as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories import trees
from interfaces_adaptor.repositories.documents import chunk_from
from services.domain import (
    Chunk,
    JsonObject,
)
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


NODE = """
    select n.node_id, n.tree_id, n.level, n.position, n.kind, n.title, coalesce(n.text, c.text) as text, n.token_cnt,
        n.stale, n.meta, c.doc_id, c.heading_path, c.start_char, c.end_char,
        (select count(*) from tree_edges e where e.tenant_id = n.tenant_id and e.tree_id = n.tree_id
            and e.parent_id = n.node_id) as children,
        (select e.parent_id from tree_edges e where e.tenant_id = n.tenant_id and e.tree_id = n.tree_id
            and e.child_id = n.node_id and e.is_primary) as primary_parent
    from tree_nodes n
    left join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
"""


class NodeEntries(UnitOfWork):
    async def served_tree(self, dataset_id: str) -> Tree:
        there = await self.first(
            "select live_tree_id from datasets where tenant_id = :tenant and dataset_id = :dataset",
            dataset=dataset_id,
        )
        if there is None:
            raise DatasetNotFound(dataset_id=dataset_id)
        row = await self.first(
            f"select {trees.COLUMNS} from trees where tenant_id = :tenant and tree_id = :tree",
            tree=there["live_tree_id"],
        )
        if row is None:
            raise TreeNotFound(dataset_id=dataset_id)
        return trees.tree_from(row)

    async def level_sizes(self, tree_id: UUID) -> dict[int, int]:
        rows = await self.all(
            """
            select level, count(*) as nodes from tree_nodes
            where tenant_id = :tenant and tree_id = :tree group by level order by level desc
            """,
            tree=tree_id,
        )
        return {row["level"]: row["nodes"] for row in rows}

    async def list_nodes(
        self, tree_id: UUID, after: tuple[int, int] | None, limit: int, *, level: int | None
    ) -> list[NodeEntry]:
        conditions: list[str] = []
        values: dict[str, Any] = {}
        if after is not None:
            conditions.append("and (-n.level, n.position) > (:level_after, :position_after)")
            values |= {"level_after": -after[0], "position_after": after[1]}
        if level is not None:
            conditions.append("and n.level = :level")
            values["level"] = level
        rows = await self.all(
            f"{NODE} where n.tenant_id = :tenant and n.tree_id = :tree {' '.join(conditions)}"
            " order by n.level desc, n.position limit :limit",
            tree=tree_id,
            limit=limit,
            **values,
        )
        return [node_from(row) for row in rows]

    async def describe_node(self, node_id: UUID) -> NodeDetail:
        row = await self.first(
            f"""{NODE} join datasets s on s.tenant_id = n.tenant_id and s.live_tree_id = n.tree_id
                where n.tenant_id = :tenant and n.node_id = :node""",
            node=node_id,
        )
        if row is None:
            raise NodeNotFound(node_id=node_id.hex)
        tree_id = row["tree_id"]
        dataset = await self.first(
            "select dataset_id from trees where tenant_id = :tenant and tree_id = :tree", tree=tree_id
        )
        assert dataset is not None
        return NodeDetail(
            node=node_from(row),
            dataset_id=dataset["dataset_id"],
            tree_id=tree_id,
            meta=row["meta"],
            parents=await self._neighbours(tree_id, node_id, "parent_id", "child_id"),
            children=await self._neighbours(tree_id, node_id, "child_id", "parent_id"),
            chunks=await self._chunks_under(tree_id, node_id, leaf=row["level"] == 0),
        )

    async def _neighbours(self, tree_id: UUID, node_id: UUID, far: str, near: str) -> Sequence[Neighbour]:
        rows = await self.all(
            f"""
            select n.node_id, n.level, n.kind, n.title, e.weight, e.is_primary
            from tree_edges e join tree_nodes n
                on n.tenant_id = e.tenant_id and n.tree_id = e.tree_id and n.node_id = e.{far}
            where e.tenant_id = :tenant and e.tree_id = :tree and e.{near} = :node order by e.position, n.position
            """,
            tree=tree_id,
            node=node_id,
        )
        return [Neighbour(**dict(row)) for row in rows]

    async def _chunks_under(self, tree_id: UUID, node_id: UUID, *, leaf: bool) -> Sequence[Chunk]:
        if leaf:
            rows = await self.all("select * from chunks where tenant_id = :tenant and chunk_id = :node", node=node_id)
        else:
            rows = await self.all(
                """
                select c.* from tree_node_chunks p
                join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
                where p.tenant_id = :tenant and p.tree_id = :tree and p.node_id = :node order by p.rank limit 500
                """,
                tree=tree_id,
                node=node_id,
            )
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
