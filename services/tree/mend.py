"""Mending: nodes of the live tree that were written without their model are written by it, and what stands above them
again from their new text.

The mended tree is grown beside the live one from the same plan and the same good texts, and takes its place in one
transaction: readers see the one or the other. A mending that is killed is found again by its fingerprint, as a build.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import UUID

from services.compute import Compute
from services.domain import Dataset, JsonObject
from services.errors import ConcurrentChange, VersionConflict
from services.jobs.job import Lease
from services.jobs.run import JobRun
from services.models.registry import Models
from services.storage import OpenStorage, UnitOfWork
from services.tree.cluster import Clustering
from services.tree.generations import OldGenerations, Publication
from services.tree.grow import TreeGrower
from services.tree.growth import Growth
from services.tree.nodes import Leaf, PlannedNode, StoredLevel, Tree, WrittenNode, tree_name
from services.tree.params import TreeParams
from utils.hashing import stable_uuid


class MendStorage(UnitOfWork, Protocol):
    """What mending asks of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def unfinished_tree(self, dataset_id: str, fingerprint: str) -> Tree | None: ...

    async def levels_of(self, tree_id: UUID) -> list[StoredLevel]: ...

    async def leaves_of(self, tree_id: UUID) -> list[Leaf]:
        """The leaves of a tree, in its reading order."""
        ...

    async def is_stale(self, tree_id: UUID) -> bool:
        """Whether anything that the tree was written from is deleted or superseded."""
        ...

    async def begin_tree(self, tree: Tree, leaves: Sequence[Leaf]) -> None: ...

    async def plan_level(self, tree_id: UUID, level: int, nodes: Sequence[PlannedNode], stats: JsonObject) -> None:
        """Commits what will be asked for, before the first summary is paid."""
        ...

    async def publish_tree(self, new: Publication, version_ids: Collection[UUID]) -> None:
        """Makes the tree the live one and its versions the served ones. Raises ConcurrentChange where another
        generation came meanwhile."""
        ...

    async def succeed_job(self, lease: Lease, result: JsonObject, figures: JsonObject) -> None: ...


@dataclass(frozen=True, slots=True)
class Mending:
    """The levels of a tree under new ids. `known` are the nodes that keep their text; `broken` were written without
    their model. What is in neither stands above one that was."""

    levels: tuple[StoredLevel, ...]
    known: Mapping[UUID, WrittenNode]
    broken: frozenset[UUID]


class TreeMender:
    def __init__(
        self,
        open_storage: OpenStorage[MendStorage],
        params: TreeParams,
        models: Models,
        grower: TreeGrower,
        compute: Compute,
        old: OldGenerations,
    ) -> None:
        self._open = open_storage
        self._params = params
        self._models = models
        self._grower = grower
        self._compute = compute
        self._old = old

    async def mend(self, run: JobRun) -> None:
        """Ends with a live tree in which the marked nodes were asked about once more. A node that fails again stays
        marked. Raises VersionConflict for a tree whose documents are deleted or replaced: it has to be built anew."""
        async with self._open(run.tenant) as work:
            dataset = await work.get_dataset(run.job.dataset_id)
            live = await work.live_tree(dataset.dataset_id)
            levels = await work.levels_of(live.tree_id) if live is not None else []
            stale = live is not None and await work.is_stale(live.tree_id)
            leaves = await work.leaves_of(live.tree_id) if live is not None else []
        if live is None or not any(map(marked, levels)):
            await self._nothing_to_do(run, live)
            return
        if stale:
            raise VersionConflict("Documents of the tree were deleted or replaced: rebuild it, then mend what is left.")
        with run.timed("db_s"):
            tree = await self._open_tree(run, dataset, live, leaves, levels)
        mending = mending_of(levels, tree.tree_id)
        params = self._params.changed({}, live.params)
        with TemporaryDirectory(prefix="raptor-mend-") as scratch:
            growth = Growth(
                run=run,
                dataset=dataset,
                params=params,
                tree=tree,
                leaves=leaves,
                embedder=self._models.embedder(dataset.space, run.context),
                summarizer=self._models.summarizer(params.summary_llm, run.context),
                scratch=Path(scratch),
            )
            grown = await self._grower.grow(growth, Clustering(params, self._compute), mending.known)
        figures = {
            "mended": len(mending.broken) - len(grown.figures.degraded),
            "written": sum(len(level.planned) for level in mending.levels) - len(mending.known),
            **grown.figures.as_stats(run, grown.depth),
            **{name: live.stats[name] for name in ("yardstick", "batches", "regret", "lag") if name in live.stats},
        }
        await self._publish(run, dataset, live, tree, figures)

    async def _open_tree(
        self, run: JobRun, dataset: Dataset, live: Tree, leaves: Sequence[Leaf], levels: Sequence[StoredLevel]
    ) -> Tree:
        """The tree under construction, with the plan of the live one; or as an earlier attempt left it."""
        async with self._open(run.tenant, run.lease) as work:
            begun = await work.unfinished_tree(dataset.dataset_id, live.fingerprint)
            if begun is not None:
                return begun
            tree = replace(
                live,
                tree_id=uuid.uuid4(),
                state="building",
                stats={},
                root_id=None,
                created_at=datetime.now(UTC),
                published_at=None,
            )
            await work.begin_tree(tree, leaves)
            stats = live.stats.get("levels", {})
            for level in mending_of(levels, tree.tree_id).levels:
                shape = stats.get(str(level.level), {})
                await work.plan_level(tree.tree_id, level.level, level.planned, shape)
            await work.commit()
            return tree

    async def _publish(self, run: JobRun, dataset: Dataset, live: Tree, tree: Tree, figures: dict[str, object]) -> None:
        async with self._open(run.tenant, run.lease) as work:
            # No version takes over: the tree has the documents that it had.
            new = Publication(
                dataset.dataset_id, tree.tree_id, live.revision, dataset.generation, reason="mended", stats=figures
            )
            await work.publish_tree(new, ())
            # The dataset's row is locked since. What was deleted before went into the texts, and must not come back.
            if await work.is_stale(live.tree_id):
                raise ConcurrentChange
            await work.succeed_job(run.lease, {"tree_id": tree_name(tree.tree_id), **figures}, run.figures())
            await work.commit()
        await self._old.remove(run.tenant, dataset.dataset_id)

    async def _nothing_to_do(self, run: JobRun, live: Tree | None) -> None:
        name = tree_name(live.tree_id) if live is not None else None
        async with self._open(run.tenant, run.lease) as work:
            await work.succeed_job(run.lease, {"tree_id": name, "mended": 0, "degraded": 0}, run.figures())
            await work.commit()


def marked(level: StoredLevel) -> set[UUID]:
    """The nodes that were written without their model."""
    return {node_id for node_id, node in level.written.items() if "reason" in node.meta}


def mending_of(levels: Sequence[StoredLevel], tree_id: UUID) -> Mending:
    """The levels, from the leaves up, as those of another tree. Ids follow from the tree and the group, as a build's
    do: an attempt that goes on finds the same."""
    ids = {
        node.node_id: stable_uuid("node", tree_id, level.level, node.group_key)
        for level in levels
        for node in level.planned
    }
    broken = set().union(*map(marked, levels))
    rewritten = set(broken)
    copies = []
    known: dict[UUID, WrittenNode] = {}
    for level in levels:
        rewritten |= {node.node_id for node in level.planned if any(edge.child_id in rewritten for edge in node.edges)}
        planned = tuple(
            replace(
                node,
                node_id=ids[node.node_id],
                edges=tuple(replace(edge, child_id=ids.get(edge.child_id, edge.child_id)) for edge in node.edges),
            )
            for node in level.planned
        )
        copies.append(StoredLevel(level.level, planned, {}))
        known |= {
            ids[node_id]: replace(node, node_id=ids[node_id])
            for node_id, node in level.written.items()
            if node_id not in rewritten
        }
    return Mending(tuple(copies), known, frozenset(ids[node_id] for node_id in broken))
