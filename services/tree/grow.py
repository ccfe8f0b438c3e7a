"""The level loop: plan, write, until one node is left.

What is decided is committed before anything is paid for it: a level's groups before its first summary. A loop that was
killed at any point goes on from the last plan that was committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from services.arrays import FloatArray
from services.clustering import Frontier, Group, Matrix
from services.compute import Compute
from services.cost.usage import Usage
from services.domain import EmbeddingSpace, JsonObject
from services.errors import ConcurrentChange
from services.models.summary import Summary
from services.storage import OpenStorage
from services.text.postings import PostingLists, indexed_text, posting_lists
from services.tree.figures import BuildFigures
from services.tree.growth import Growth
from services.tree.level import Level, Plan, groups_of, leaf_level, level_figures, next_level, written_nodes
from services.tree.nodes import PlannedNode, StoredLevel, WrittenNode
from services.tree.write import LevelWriter, WriteStorage
from utils.concurrency import both

logger = logging.getLogger(__name__)


class GrowStorage(WriteStorage, Protocol):
    """What the level loop asks of storage."""

    def vectors_of_chunks(self, chunk_ids: Sequence[UUID], space: EmbeddingSpace) -> AsyncIterator[FloatArray]:
        """Blocks of rows in the order of the ids. Raises VectorStoreError where one is missing."""
        ...

    async def levels_of(self, tree_id: UUID) -> list[StoredLevel]: ...

    async def abandon_tree(self, tree_id: UUID) -> None:
        """It is not gone on with; what there is of it is removed later."""
        ...

    async def plan_level(self, tree_id: UUID, level: int, nodes: Sequence[PlannedNode], stats: JsonObject) -> None:
        """Commits what will be asked for, before the first summary is paid."""
        ...

    async def write_level(self, tree_id: UUID, level: int, nodes: Sequence[WrittenNode], stats: JsonObject) -> None: ...

    async def add_postings(self, dataset_id: str, generation_id: UUID, lists: PostingLists) -> None:
        """What BM25 counts in a version's chunks or in a level of a tree."""
        ...


class Planner(Protocol):
    @property
    def replays(self) -> bool:
        """Whether an attempt that goes on asks for the levels that are planned already once more."""
        ...

    async def plan(self, tree_id: UUID, level: Level) -> Plan:
        """The level above."""
        ...


@dataclass(slots=True)
class Grown:
    """A tree that is written and committed: its depth, its nodes and groups level by level, and what it took."""

    figures: BuildFigures
    depth: int = 0
    nodes: list[Frontier] = field(default_factory=list)
    groups: list[list[Group]] = field(default_factory=list)


class TreeGrower:
    def __init__(self, open_storage: OpenStorage[GrowStorage], compute: Compute) -> None:
        self._open = open_storage
        self._compute = compute

    async def grow(self, growth: Growth, planner: Planner, kept: Mapping[UUID, WrittenNode]) -> Grown:
        """`kept` are nodes of planned levels whose text is there already although their level is not committed. A
        level's texts are committed while the next level is planned."""
        grown = Grown(BuildFigures())
        async with self._open(growth.run.tenant) as work:
            begun = {level.level: level for level in await work.levels_of(growth.tree.tree_id)}
        level = await self._leaf_level(growth)
        grown.figures.sizes[0] = len(level)
        while level.number == 0 or len(level) > 1:
            stored = begun.get(level.number + 1)
            if stored is not None and not planner.replays:
                await self._commit_texts(growth, level)
                plan = Plan(stored.planned, kept, {})
            else:
                plan, _ = await both(
                    self._plan(growth, grown.figures, planner, level), self._commit_texts(growth, level)
                )
            if stored is None:
                await self._commit_plan(growth, level, plan)
            elif ids_of(stored.planned) != ids_of(plan.nodes):
                await self._abandon(growth)
            grown.nodes.append(level.frontier)
            grown.groups.append(groups_of(level, plan.nodes))
            level = await self._write(growth, grown.figures, level, plan, stored.written if stored else {})
        await self._commit_texts(growth, level)
        grown.depth = level.number
        return grown

    async def _leaf_level(self, growth: Growth) -> Level:
        """Streams the leaves' vectors from the database into a file that the process pool reads."""
        path = growth.scratch / "level-0.f32"
        chunk_ids = [leaf.chunk_id for leaf in growth.leaves]
        with growth.run.timed("db_s"), path.open("wb") as file:
            async with self._open(growth.run.tenant) as work:
                async for block in work.vectors_of_chunks(chunk_ids, growth.dataset.space):
                    block.tofile(file)
        return leaf_level(growth.leaves, Matrix.in_file(path, (len(chunk_ids), growth.dataset.space.dimensions)))

    async def _plan(self, growth: Growth, figures: BuildFigures, planner: Planner, level: Level) -> Plan:
        await report(growth, figures, level.number + 1, "cluster", 0.0, nodes=len(level))
        with growth.run.timed("cluster_s"):
            return await planner.plan(growth.tree.tree_id, level)

    async def _commit_plan(self, growth: Growth, level: Level, plan: Plan) -> None:
        """Before the first of its summaries is asked for."""
        logger.info("level planned", extra={"tree_level": level.number + 1, **plan.stats})
        with growth.run.timed("db_s"):
            async with self._open(growth.run.tenant, growth.run.lease) as work:
                await work.plan_level(growth.tree.tree_id, level.number + 1, plan.nodes, plan.stats)
                await work.commit()

    async def _abandon(self, growth: Growth) -> None:
        """An earlier attempt planned something else: settings changed, or the machine. The next one begins anew, and
        finds what was paid for. Raises ConcurrentChange."""
        async with self._open(growth.run.tenant, growth.run.lease) as work:
            await work.abandon_tree(growth.tree.tree_id)
            await work.commit()
        raise ConcurrentChange("The tree was planned differently by an earlier attempt: it is begun anew.")

    async def _write(
        self,
        growth: Growth,
        figures: BuildFigures,
        below: Level,
        plan: Plan,
        written: Mapping[UUID, WrittenNode],
    ) -> Level:
        """The next level with its texts and vectors; `written` is what an earlier attempt had committed of it."""
        number, planned = below.number + 1, plan.nodes
        figures.sizes[number] = len(planned)
        found = {
            position: known
            for position, node in enumerate(planned)
            if (known := written.get(node.node_id) or plan.kept.get(node.node_id)) is not None
        }
        before = {at: Summary((known.title,), known.text, known.meta, Usage()) for at, known in found.items()}
        await report(growth, figures, number, "summarise", 0.0, done=0, planned=len(planned))
        progress = LevelProgress(growth, figures, number, len(planned))
        with growth.run.timed("write_s"):
            text = await LevelWriter(self._open, growth, below, planned, progress).write(before)
        path = growth.scratch / f"level-{number}.f32"
        told = {at: growth.places(known.chunk_ids) for at, known in found.items() if known.chunk_ids}
        level = next_level(below, plan, text, path, told, committed=len(written) == len(planned))
        figures.add_level(level, plan.kept, growth.summarizer.concurrency, growth.run.context.meter)
        return level

    async def _commit_texts(self, growth: Growth, level: Level) -> None:
        if level.text is None or level.committed:
            return
        stats = {
            "usage_calls": level.text.usage.calls,
            "write_s": round(level.text.timings.write_s, 4),
            "calls_s": round(sum(level.text.timings.summaries_s), 4),  # of all lanes together
        }
        nodes = written_nodes(level, growth.leaves)
        texts = [indexed_text((node.title,), node.text) for node in nodes]
        postings: PostingLists = await self._compute(posting_lists, level.number, texts)
        with growth.run.timed("db_s"):
            async with self._open(growth.run.tenant, growth.run.lease) as work:
                await work.write_level(growth.tree.tree_id, level.number, nodes, stats)
                await work.add_postings(growth.dataset.dataset_id, growth.tree.tree_id, postings)
                await work.commit()
        logger.info("level persisted", extra=level_figures(level))


def ids_of(nodes: Sequence[PlannedNode]) -> list[UUID]:
    return [node.node_id for node in nodes]


async def report(growth: Growth, figures: BuildFigures, level: int, step: str, share: float, **detail: Any) -> None:
    await growth.run.report(f"level {level}: {step}", figures.share_done(level, share), level=level, **detail)


class LevelProgress:
    """Called with the number of nodes that were finished; tells the job how far the level is and how long it takes."""

    def __init__(self, growth: Growth, figures: BuildFigures, level: int, planned: int) -> None:
        self._growth = growth
        self._figures = figures
        self._level = level
        self._planned = planned
        self._done = 0
        self._began = time.monotonic()

    async def __call__(self, finished: int) -> None:
        self._done += finished
        share = self._done / self._planned
        left_s = round((time.monotonic() - self._began) * (1 - share) / share, 1)
        detail = {"done": self._done, "planned": self._planned, "seconds_left": left_s}
        await report(self._growth, self._figures, self._level, "summarise", share, **detail)
