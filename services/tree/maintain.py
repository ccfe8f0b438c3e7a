"""Maintenance: the next generation of a tree from the live one and the leaves of now.

Groups last, and only summaries on the path of a change are written; all others are taken over with their text. The next
generation is grown beside the live one, level by level, and takes its place in one transaction, as a build's tree does.
`services/maintenance` plans it; nothing there is left to chance, so that an attempt that goes on after a kill plans the
same again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np

from services.arrays import FloatArray
from services.clustering import Group, Matrix
from services.compute import Compute
from services.domain import EmbeddingSpace
from services.errors import VectorStoreError
from services.jobs.run import JobRun
from services.maintenance import (
    LevelPlan,
    LiveTree,
    MaintenanceParams,
    Shape,
    Step,
    TreeLevel,
    Written,
    Yardstick,
    advance,
    begin,
    clustering_due,
    continued,
    largest_lag,
    plan_level,
    regret,
    yardstick_of,
)
from services.storage import OpenStorage, UnitOfWork
from services.tree.grow import Grown
from services.tree.level import Level, Plan, leaf_level, planned_node, quantiles
from services.tree.nodes import Leaf, StoredLevel, Tree, WrittenNode
from services.tree.params import TreeParams

# Vectors of larger trees would not fit beside each other in a worker: those are always clustered anew.
MOST_LEAVES = 50_000


class MaintainStorage(UnitOfWork, Protocol):
    """What maintenance asks of storage."""

    async def leaves_of(self, tree_id: UUID) -> list[Leaf]: ...

    async def levels_of(self, tree_id: UUID) -> list[StoredLevel]: ...

    async def stale_nodes(self, tree_id: UUID) -> Set[UUID]:
        """Those whose text tells of something that is deleted or replaced."""
        ...

    async def vectors_of_nodes(self, tree_id: UUID, space: EmbeddingSpace) -> Mapping[UUID, FloatArray]: ...

    def vectors_of_chunks(self, chunk_ids: Sequence[UUID], space: EmbeddingSpace) -> AsyncIterator[FloatArray]: ...


@dataclass(frozen=True, slots=True)
class Generation:
    """The live tree as it is stored; `vectors` are those of its summaries."""

    tree: Tree
    leaves: Sequence[Leaf]
    levels: Sequence[StoredLevel]
    stale: Set[UUID]
    vectors: Mapping[UUID, FloatArray]


class TreeMaintainer:
    def __init__(self, open_storage: OpenStorage[MaintainStorage], params: MaintenanceParams, compute: Compute) -> None:
        self._open = open_storage
        self._params = params
        self._compute = compute

    async def next_generation(
        self, run: JobRun, live: Tree, leaves: Sequence[Leaf], params: TreeParams, space: EmbeddingSpace, scratch: Path
    ) -> Maintenance | None:
        """How the tree of `leaves` grows out of the live one; None where it is better clustered as a whole."""
        if not maintainable(live, 0) or len(leaves) > MOST_LEAVES:
            return None
        shape = Shape(params.grouper, params.grouping, params.levels_cap)
        async with self._open(run.tenant) as work:
            generation = Generation(
                tree=live,
                leaves=await work.leaves_of(live.tree_id),
                levels=await work.levels_of(live.tree_id),
                stale=await work.stale_nodes(live.tree_id),
                vectors=await work.vectors_of_nodes(live.tree_id, space),
            )
        if not generation.leaves:
            return None
        now = lasting(generation.leaves, leaves)
        try:
            old = await self._leaf_level(run, generation.leaves, space, scratch / "before.f32")
            new = await self._leaf_level(run, now, space, scratch / "level-0.f32")
        except VectorStoreError:
            return None  # a version of before has left no vectors to measure with
        before = live_tree(generation, old)
        known = set(before.leaves.keys)
        changed = len(known.symmetric_difference(new.frontier.keys))
        drift = await self._compute(regret, before.leaves, before.levels[0].groups, shape)
        due = clustering_due(before, self._params, drift, changed)
        if due == "batch":
            return None
        step = begin(before, new.frontier, shape, self._params)
        return Maintenance(step, now, texts_of(generation, now), self._compute, clustering_due=due is not None)

    async def _leaf_level(self, run: JobRun, leaves: Sequence[Leaf], space: EmbeddingSpace, path: Path) -> Level:
        with run.timed("db_s"), path.open("wb") as file:
            async with self._open(run.tenant) as work:
                async for block in work.vectors_of_chunks([leaf.chunk_id for leaf in leaves], space):
                    block.tofile(file)
        return leaf_level(leaves, Matrix.in_file(path, (len(leaves), space.dimensions)))


class Maintenance:
    """Plans one level after the other; `texts` are those that may stay, by the key of their group. With
    `clustering_due` the tree has drifted so far that the whole is better clustered anew, after this."""

    replays = True

    def __init__(
        self,
        step: Step,
        leaves: Sequence[Leaf],
        texts: Mapping[str, WrittenNode],
        compute: Compute,
        *,
        clustering_due: bool,
    ) -> None:
        self.leaves = leaves
        self.clustering_due = clustering_due
        self._reasons: dict[str, int] = {}
        self._step = step
        self._plans: list[LevelPlan] = []
        self._texts = texts
        self._compute = compute

    async def as_stats(self) -> dict[str, Any]:
        before, leaves = self._step.before, self._step.leaves
        now: float = await self._compute(regret, leaves, self._plans[0].groups, self._step.shape)
        return {
            "yardstick": asdict(before.yardstick),
            "batches": before.generation + 1,
            "regret": round(now - before.yardstick.regret, 4),
            "lag": round(largest_lag(len(leaves), [(plan.groups, plan.told) for plan in self._plans]), 4),
            "written": sum(self._reasons.values()),
            "reasons": self._reasons,
        }

    async def plan(self, tree_id: UUID, level: Level) -> Plan:
        if self._plans:
            rows = np.array(self._plans[-1].write, np.int64)
            written = Written(level.frontier.vectors.rows(rows), np.asarray(level.frontier.tokens)[rows])
            self._step = advance(self._step, self._plans[-1], written)
        plan: LevelPlan = await self._compute(plan_level, self._step)
        self._plans.append(plan)
        for reason in plan.reasons:
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
        anew = {plan.keys[position] for position in plan.write}
        nodes = [
            planned_node(tree_id, level, position, key, group, is_root=len(plan.keys) == 1)
            for position, (key, group) in enumerate(zip(plan.keys, plan.groups, strict=True))
        ]
        kept = {
            node.node_id: replace(self._texts[node.group_key], node_id=node.node_id)
            for node in nodes
            if node.group_key not in anew
        }
        sizes = [len(group.members) for group in plan.groups]
        stats = {"n": len(level), "clusters": len(nodes), "sizes": quantiles(sizes), "written": len(plan.write)}
        return Plan(nodes, kept, stats)


def maintainable(live: Tree, changed: int) -> bool:
    """Whether a change of so many passages is one for maintenance."""
    leaves = int(live.stats.get("leaves", 0))
    return "yardstick" in live.stats and leaves <= MOST_LEAVES and changed <= MaintenanceParams().batch * leaves


def lasting(before: Sequence[Leaf], now: Sequence[Leaf]) -> list[Leaf]:
    """The leaves of now; a passage that a document had before keeps its key there, wherever it stands now."""
    passages = {document: list(group) for document, group in groupby(before, key=lambda leaf: leaf.document)}
    taken = {leaf.key for leaf in before}
    named = []
    for document, group in groupby(now, key=lambda leaf: leaf.document):
        own, old = list(group), passages.get(document, [])
        matches = continued([leaf.hash for leaf in old], [leaf.hash for leaf in own])
        for leaf, match in zip(own, matches, strict=True):
            key = old[match].key if match is not None else fresh(leaf.key, taken)
            taken.add(key)
            named.append(replace(leaf, lasting_key=key))
    return named


def fresh(key: str, taken: Set[str]) -> str:
    """A text that came, went and came again at one place is another passage each time."""
    number = 1
    while (found := key if number == 1 else f"{key}#{number}") in taken:
        number += 1
    return found


def live_tree(generation: Generation, leaves: Level) -> LiveTree:
    """The stored tree as maintenance sees it. Groups that lost all members are left out; a text that tells of something
    deleted is none."""
    place: Mapping[UUID, int] = {leaf.chunk_id: position for position, leaf in enumerate(generation.leaves)}
    leaf_place = place
    below, levels = leaves, []
    for stored in generation.levels:
        nodes = [node for node in stored.planned if any(edge.child_id in place for edge in node.edges)]
        groups = [
            Group(
                members=tuple(place[edge.child_id] for edge in node.edges if edge.child_id in place),
                weights=tuple(edge.weight for edge in node.edges if edge.child_id in place),
                primary=tuple(edge.is_primary for edge in node.edges if edge.child_id in place),
            )
            for node in nodes
        ]
        told = [
            np.array([], np.int64)
            if node.node_id in generation.stale
            else np.sort(np.array([leaf_place[one] for one in stored.written[node.node_id].chunk_ids], np.int64))
            for node in nodes
        ]
        below = level_above(generation, stored, [node.node_id for node in nodes], groups, below)
        levels.append(TreeLevel(below.frontier, tuple(groups), tuple(told), (0,) * len(nodes)))
        place = {node.node_id: position for position, node in enumerate(nodes)}
    stats = generation.tree.stats
    stored_yardstick = stats["yardstick"]
    yardstick = Yardstick(
        sizes=tuple(stored_yardstick["sizes"]),
        spreads=tuple(stored_yardstick["spreads"]),
        regret=stored_yardstick["regret"],
        leaves=stored_yardstick["leaves"],
    )
    return LiveTree(int(stats.get("batches", 0)), leaves.frontier, tuple(levels), yardstick)


def level_above(
    generation: Generation, stored: StoredLevel, node_ids: Sequence[UUID], groups: Sequence[Group], below: Level
) -> Level:
    """The stored nodes with their vectors; one whose vector was erased has the direction of its members' mean."""
    keys = {node.node_id: node.group_key for node in stored.planned}
    rows = []
    for node_id, group in zip(node_ids, groups, strict=True):
        vector = generation.vectors.get(node_id)
        if vector is None:
            mean = below.frontier.vectors.rows(np.array(group.members)).mean(axis=0)
            vector = mean / max(float(np.linalg.norm(mean)), 1e-6)
        rows.append(vector)
    frontier = replace(
        below.frontier,
        vectors=Matrix.of(np.stack(rows)),
        tokens=np.array([stored.written[node_id].token_cnt for node_id in node_ids], np.int64),
        keys=[keys[node_id] for node_id in node_ids],
        order=[below.frontier.order[min(group.members, key=below.frontier.order.__getitem__)] for group in groups],
        paths=[()] * len(node_ids),
    )
    return replace(below, number=stored.level, node_ids=node_ids, frontier=frontier)


def texts_of(generation: Generation, now: Sequence[Leaf]) -> dict[str, WrittenNode]:
    """The texts that may stay, by the key of their group, with their provenance among the chunks of now."""
    chunk_of = {leaf.key: leaf.chunk_id for leaf in now}
    key_of = {leaf.chunk_id: leaf.key for leaf in generation.leaves}
    texts = {}
    for level in generation.levels:
        for node in level.planned:
            written = level.written.get(node.node_id)
            if written is None or node.node_id in generation.stale:
                continue
            sources = [chunk_of.get(key_of.get(one, "")) for one in written.chunk_ids]
            if all(sources):
                texts[node.group_key] = replace(written, chunk_ids=tuple(one for one in sources if one is not None))
    return texts


async def clustering_stats(compute: Compute, grown: Grown, params: TreeParams) -> dict[str, Any]:
    """What later changes of a tree that was just clustered are measured with."""
    leaves, *above = grown.nodes
    if len(leaves) > MOST_LEAVES or not above:
        return {}
    none = np.array([], np.int64)
    levels = [
        TreeLevel(nodes, tuple(groups), (none,) * len(groups), (0,) * len(groups))
        for nodes, groups in zip(above, grown.groups, strict=False)
    ]
    shape = Shape(params.grouper, params.grouping, params.levels_cap)
    measured: Yardstick = await compute(yardstick_of, leaves, levels, shape)
    return {"yardstick": asdict(measured), "batches": 0, "regret": 0.0, "lag": 0.0}
