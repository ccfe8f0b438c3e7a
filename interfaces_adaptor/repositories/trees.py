"""Trees: planned a level at a time, written a level at a time, published in one step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from infra.db.schema import chunks, datasets, tree_edges, tree_nodes, trees
from infra.uow.unit_of_work import any_of, as_json
from interfaces_adaptor.repositories.documents import Documents
from services.domain import JsonObject
from services.errors import ConcurrentChange
from services.text.passage_text import for_models
from services.tree.generations import Publication
from services.tree.nodes import Edge, Leaf, PlannedNode, StoredLevel, Tree, WrittenNode

SHOWN = [trees.c[name] for name in Tree.__dataclass_fields__]

# The newest embedded version of each document that is not deleted, of those that are in the tree already, that are
# there without owing it anything, or that this payer's uploads bring (null: whoever's). Of an upload that is still
# indexed none is taken: its documents come together, and it may yet be cancelled.
BUILD_VERSIONS = """
    select distinct on (v.doc_id) v.version_id, v.doc_id, d.identity from document_versions v
    join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
    left join jobs j on j.tenant_id = v.tenant_id and j.job_id = v.job_id
    where v.tenant_id = :tenant and v.dataset_id = :dataset and d.deleted_at is null
        and v.embedded_at is not null and v.state in ('indexing', 'ready')
        and (
            j.job_id is null or j.status = 'succeeded'
            or cast(:payer as text) is null and (j.status in ('failed', 'cancelled') or j.awaits_revision is not null)
            or j.awaits_revision is not null and j.payer = :payer
            or exists (
                select from datasets s join tree_nodes n on n.tenant_id = s.tenant_id and n.tree_id = s.live_tree_id
                join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
                where s.tenant_id = v.tenant_id and s.dataset_id = v.dataset_id and c.version_id = v.version_id
            )
        )
    order by v.doc_id, v.number desc
"""


def tree_from(row: RowMapping) -> Tree:
    return Tree(**dict(row))


def leaf_from(row: RowMapping, identity: str) -> Leaf:
    return Leaf(
        chunk_id=row["chunk_id"],
        version_id=row["version_id"],
        doc_id=row["doc_id"],
        document=identity,
        idx=row["idx"],
        token_cnt=row["token_cnt"],
        hash=row["hash"],
        heading_path=tuple(row["heading_path"]),
    )


def still_needs_key(revision: int) -> ColumnElement[bool]:
    """A tree of this revision does not hold what began to wait for a key while it was built."""
    return and_(datasets.c.needs_key, datasets.c.wanted_revision > revision)


class Trees(Documents):
    async def leaves_to_build(self, dataset_id: str, payer: str | None) -> tuple[list[Leaf], list[UUID]]:
        versions = await self.all(BUILD_VERSIONS, dataset=dataset_id, payer=payer)
        ids = [row["version_id"] for row in versions]
        of = chunks.c
        rows = await self.all(
            select(of.chunk_id, of.version_id, of.doc_id, of.idx, of.token_cnt, of.hash, of.heading_path).where(
                self.own(chunks), of.version_id.in_(ids)
            )
        )
        identity = {row["doc_id"]: row["identity"] for row in versions}
        leaves = [leaf_from(row, identity[row["doc_id"]]) for row in rows]
        return sorted(leaves, key=lambda leaf: (leaf.document, leaf.idx)), ids

    async def live_tree(self, dataset_id: str) -> Tree | None:
        return await self._tree(trees.c.dataset_id == dataset_id, trees.c.state == "live")

    async def get_tree(self, tree_id: UUID) -> Tree | None:
        return await self._tree(trees.c.tree_id == tree_id)

    async def unfinished_tree(self, dataset_id: str, fingerprint: str) -> Tree | None:
        return await self._tree(
            trees.c.dataset_id == dataset_id, trees.c.state == "building", trees.c.fingerprint == fingerprint
        )

    async def _tree(self, *conditions: ColumnElement[bool]) -> Tree | None:
        row = await self.first(select(*SHOWN).where(self.own(trees), *conditions))
        return tree_from(row) if row else None

    async def begin_tree(self, tree: Tree, leaves: Sequence[Leaf]) -> None:
        await self.hold_dataset(tree.dataset_id)
        await self._supersede(trees.c.dataset_id == tree.dataset_id, trees.c.state == "building")
        await self.execute(
            insert(trees).values(
                tenant_id=self.tenant,
                tree_id=tree.tree_id,
                dataset_id=tree.dataset_id,
                doc_id=tree.doc_id,
                state="building",
                fingerprint=tree.fingerprint,
                revision=tree.revision,
                params=dict(tree.params),
            )
        )
        await self.copy(
            "tree_nodes",
            ["tree_id", "node_id", "level", "position", "kind", "chunk_id", "token_cnt", "group_key"],
            (
                (tree.tree_id, leaf.chunk_id, 0, position, "leaf", leaf.chunk_id, leaf.token_cnt, leaf.key)
                for position, leaf in enumerate(leaves)
            ),
        )

    async def abandon_tree(self, tree_id: UUID) -> None:
        await self._supersede(trees.c.tree_id == tree_id, trees.c.state == "building")

    async def _supersede(self, *conditions: ColumnElement[bool]) -> None:
        await self.execute(update(trees).where(self.own(trees), *conditions).values(state="superseded"))

    async def levels_of(self, tree_id: UUID) -> list[StoredLevel]:
        nodes = await self.all(
            """
            select n.node_id, n.level, n.position, n.kind, n.group_key, n.title, n.text, n.token_cnt, n.meta,
                (select array_agg(p.chunk_id order by p.rank) from tree_node_chunks p where p.tenant_id = n.tenant_id
                    and p.tree_id = n.tree_id and p.node_id = n.node_id) as chunk_ids
            from tree_nodes n where n.tenant_id = :tenant and n.tree_id = :tree and n.level > 0
            order by n.level, n.position
            """,
            tree=tree_id,
        )
        edges: dict[UUID, list[Edge]] = {}
        of = tree_edges.c
        for row in await self.all(
            select(of.parent_id, of.child_id, of.weight, of.is_primary)
            .where(self.own(tree_edges), of.tree_id == tree_id)
            .order_by(of.parent_id, of.position)
        ):
            edges.setdefault(row["parent_id"], []).append(Edge(row["child_id"], row["weight"], row["is_primary"]))
        levels: dict[int, tuple[list[PlannedNode], dict[UUID, WrittenNode]]] = {}
        for row in nodes:
            planned, written = levels.setdefault(row["level"], ([], {}))
            planned.append(
                PlannedNode(
                    node_id=row["node_id"],
                    group_key=row["group_key"],
                    position=row["position"],
                    is_root=row["kind"] == "root",
                    edges=tuple(edges.get(row["node_id"], ())),
                )
            )
            if row["text"] is not None:
                written[row["node_id"]] = WrittenNode(
                    node_id=row["node_id"],
                    chunk_ids=tuple(row["chunk_ids"] or ()),
                    title=row["title"],
                    text=row["text"],
                    token_cnt=row["token_cnt"],
                    meta=row["meta"],
                )
        return [StoredLevel(level, tuple(planned), written) for level, (planned, written) in sorted(levels.items())]

    async def plan_level(self, tree_id: UUID, level: int, nodes: Sequence[PlannedNode], stats: JsonObject) -> None:
        await self.hold_dataset_of_tree(tree_id)
        await self.copy(
            "tree_nodes",
            ["tree_id", "node_id", "level", "position", "kind", "group_key"],
            (
                (tree_id, node.node_id, level, node.position, "root" if node.is_root else "summary", node.group_key)
                for node in nodes
            ),
        )
        await self.copy(
            "tree_edges",
            ["tree_id", "parent_id", "child_id", "weight", "is_primary", "position"],
            (
                (tree_id, node.node_id, edge.child_id, edge.weight, edge.is_primary, position)
                for node in nodes
                for position, edge in enumerate(node.edges)
            ),
        )
        await self._add_stats(tree_id, level, stats)

    async def write_level(self, tree_id: UUID, level: int, nodes: Sequence[WrittenNode], stats: JsonObject) -> None:
        await self.hold_dataset_of_tree(tree_id)
        await self.execute(
            """
            update tree_nodes n set title = w.title, text = w.text, token_cnt = w.token_cnt,
                meta = cast(w.meta as jsonb)
            from unnest(cast(:ids as uuid[]), cast(:titles as text[]), cast(:texts as text[]),
                cast(:tokens as int[]), cast(:metas as text[])) as w (node_id, title, text, token_cnt, meta)
            where n.tenant_id = :tenant and n.tree_id = :tree and n.node_id = w.node_id
            """,
            tree=tree_id,
            ids=[node.node_id for node in nodes],
            titles=[node.title for node in nodes],
            texts=[node.text for node in nodes],
            tokens=[node.token_cnt for node in nodes],
            metas=[as_json(dict(node.meta)) for node in nodes],
        )
        await self.copy(
            "tree_node_chunks",
            ["tree_id", "node_id", "chunk_id", "rank"],
            ((tree_id, node.node_id, chunk_id, rank) for node in nodes for rank, chunk_id in enumerate(node.chunk_ids)),
        )
        await self._add_stats(tree_id, level, stats)

    async def leaf_texts(self, chunk_ids: Collection[UUID]) -> dict[UUID, str]:
        rows = await self.all(
            select(chunks.c.chunk_id, chunks.c.text, chunks.c.meta["table_header"].as_string().label("header")).where(
                self.own(chunks), chunks.c.chunk_id == any_of(list(chunk_ids))
            )
        )
        return {row["chunk_id"]: for_models(row["text"], row["header"]) for row in rows}

    async def leaves_of(self, tree_id: UUID) -> list[Leaf]:
        rows = await self.all(
            """
            select c.chunk_id, c.version_id, c.doc_id, d.identity, c.idx, c.token_cnt, c.hash, c.heading_path,
                n.group_key
            from tree_nodes n
            join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
            join documents d on d.tenant_id = c.tenant_id and d.dataset_id = c.dataset_id and d.doc_id = c.doc_id
            where n.tenant_id = :tenant and n.tree_id = :tree and n.level = 0 order by n.position
            """,
            tree=tree_id,
        )
        return [replace(leaf_from(row, row["identity"]), lasting_key=row["group_key"]) for row in rows]

    async def stale_nodes(self, tree_id: UUID) -> frozenset[UUID]:
        of = tree_nodes.c
        rows = await self.all(select(of.node_id).where(self.own(tree_nodes), of.tree_id == tree_id, of.stale))
        return frozenset(row["node_id"] for row in rows)

    async def is_stale(self, tree_id: UUID) -> bool:
        of = tree_nodes.c
        return (
            await self.first(select(of.node_id).where(self.own(tree_nodes), of.tree_id == tree_id, of.stale).limit(1))
            is not None
        )

    async def publish_tree(self, new: Publication, version_ids: Collection[UUID]) -> None:
        await self.lock_generation(new.dataset_id, new.after)
        of_dataset = self.own(datasets), datasets.c.dataset_id == new.dataset_id
        # A build whose text was erased may be done with its last level when it hears of it.
        begun_or_live = or_(trees.c.state != "superseded", trees.c.published_at.is_not(None))
        if await self._tree(trees.c.tree_id == new.tree_id, begun_or_live) is None:
            raise ConcurrentChange("Documents were erased while the tree was built: it begins anew without them.")
        live = await self.live_tree(new.dataset_id)
        if live is None or live.tree_id != new.tree_id:
            await self._supersede(trees.c.dataset_id == new.dataset_id, trees.c.state == "live")
            await self.begin_generation(new.dataset_id, new.tree_id, new.reason)
        await self.execute(
            """
            update trees t set state = 'live', published_at = coalesce(published_at, now()),
                stats = stats || cast(:stats as jsonb),
                root_id = (select n.node_id from tree_nodes n where n.tenant_id = t.tenant_id
                    and n.tree_id = t.tree_id and n.kind = 'root')
            where t.tenant_id = :tenant and t.tree_id = :tree
            """,
            tree=new.tree_id,
            stats=as_json(dict(new.stats)),
        )
        await self.execute(
            update(datasets)
            .where(*of_dataset)
            .values(
                live_tree_id=new.tree_id,
                built_revision=func.greatest(datasets.c.built_revision, new.revision),
                needs_key=still_needs_key(new.revision),
                updated_at=func.now(),
            )
        )
        await self.serve_versions(version_ids)
        # What was deleted, cancelled or superseded while the tree was built is in it: hide what was written from that.
        gone = await self.all(
            """
            select v.version_id from documents d join document_versions v
                on v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
            where d.tenant_id = :tenant and d.dataset_id = :dataset
                and (d.deleted_at is not null or v.state <> 'ready') and v.version_id = any(:versions)
            """,
            dataset=new.dataset_id,
            versions=list(version_ids),
        )
        await self.hide([row["version_id"] for row in gone])

    async def unpublish_tree(self, dataset_id: str, revision: int, after: int) -> None:
        await self.lock_generation(dataset_id, after)
        await self.execute(
            update(datasets)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .values(
                live_tree_id=None,
                built_revision=func.greatest(datasets.c.built_revision, revision),
                needs_key=still_needs_key(revision),
                updated_at=func.now(),
            )
        )
        await self._supersede(trees.c.dataset_id == dataset_id, trees.c.state == "live")
        await self.end_generation(dataset_id)

    async def _add_stats(self, tree_id: UUID, level: int, stats: JsonObject) -> None:
        await self.execute(
            """
            update trees set stats = jsonb_set(stats, '{levels}', coalesce(stats -> 'levels', '{}'::jsonb)
                || jsonb_build_object(cast(:level as text),
                    coalesce(stats -> 'levels' -> cast(:level as text), '{}'::jsonb) || cast(:stats as jsonb)))
            where tenant_id = :tenant and tree_id = :tree
            """,
            tree=tree_id,
            level=str(level),
            stats=as_json(dict(stats)),
        )
