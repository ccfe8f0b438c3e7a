"""The level loop: group, plan, write, until one node is left.

What is decided is committed before anything is paid for it: a level's groups before its first summary. A loop that was
killed at any point goes on from the last plan that was committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from services.arrays import FloatArray
from services.clustering import Grouping, Matrix, load_grouper
from services.compute import Compute
from services.cost.usage import Usage
from services.domain import EmbeddingSpace, JsonObject
from services.models.summary import Summary
from services.storage import OpenStorage
from services.text.postings import PostingLists, indexed_text, posting_lists
from services.tree.figures import BuildFigures
from services.tree.growth import Growth
from services.tree.level import Level, everything, leaf_level, next_level, plan, plan_stats, written_nodes
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

    async def plan_level(self, tree_id: UUID, level: int, nodes: Sequence[PlannedNode], stats: JsonObject) -> None:
        """Commits what will be asked for, before the first summary is paid."""
        ...

    async def write_level(self, tree_id: UUID, level: int, nodes: Sequence[WrittenNode], stats: JsonObject) -> None: ...

    async def add_postings(self, dataset_id: str, generation_id: UUID, lists: PostingLists) -> None:
        """What BM25 counts in a version's chunks or in a level of a tree."""
        ...


class TreeGrower:
    def __init__(self, open_storage: OpenStorage[GrowStorage], compute: Compute) -> None:
        self._open = open_storage
        self._compute = compute

    async def grow(self, growth: Growth, kept: Mapping[UUID, WrittenNode]) -> tuple[Level, BuildFigures]:
        """The top of the tree, written and committed. `kept` are nodes whose text is there already although their level
        is not committed. A level's texts are committed while the next level is clustered."""
        figures = BuildFigures()
        async with self._open(growth.run.tenant) as work:
            begun = {level.level: level for level in await work.levels_of(growth.tree.tree_id)}
        level = await self._leaf_level(growth)
        figures.sizes[0] = len(level)
        while level.number == 0 or len(level) > 1:
            stored = begun.get(level.number + 1)
            if stored is not None:
                await self._commit_texts(growth, level)
                level = await self._write(growth, figures, level, stored.planned, stored.written, kept)
                continue
            grouping, _ = await both(self._group(growth, figures, level), self._commit_texts(growth, level))
            planned = await self._plan(growth, level, grouping)
            level = await self._write(growth, figures, level, planned, {}, kept)
        await self._commit_texts(growth, level)
        return level, figures

    async def _leaf_level(self, growth: Growth) -> Level:
        """Streams the leaves' vectors from the database into a file that the process pool reads."""
        path = growth.scratch / "level-0.f32"
        chunk_ids = [leaf.chunk_id for leaf in growth.leaves]
        with growth.run.timed("db_s"), path.open("wb") as file:
            async with self._open(growth.run.tenant) as work:
                async for block in work.vectors_of_chunks(chunk_ids, growth.dataset.space):
                    block.tofile(file)
        return leaf_level(growth.leaves, Matrix.in_file(path, (len(chunk_ids), growth.dataset.space.dimensions)))

    async def _group(self, growth: Growth, figures: BuildFigures, level: Level) -> Grouping:
        await report(growth, figures, level.number + 1, "cluster", 0.0, nodes=len(level))
        cap = growth.params.levels_cap
        if len(level) == 1 or (cap is not None and level.number >= cap):
            return everything(level)
        with growth.run.timed("cluster_s"):
            group = load_grouper(growth.params.grouper)
            return await group(level.frontier, growth.params.grouping, self._compute)

    async def _plan(self, growth: Growth, level: Level, grouping: Grouping) -> Sequence[PlannedNode]:
        """Commits the groups before the first of their summaries is asked for."""
        planned = plan(growth.tree.tree_id, level, grouping)
        stats = plan_stats(level, grouping)
        logger.info("level planned", extra={"tree_level": level.number + 1, **stats})
        with growth.run.timed("db_s"):
            async with self._open(growth.run.tenant, growth.run.lease) as work:
                await work.plan_level(growth.tree.tree_id, level.number + 1, planned, stats)
                await work.commit()
        return planned

    async def _write(
        self,
        growth: Growth,
        figures: BuildFigures,
        below: Level,
        planned: Sequence[PlannedNode],
        written: Mapping[UUID, WrittenNode],
        kept: Mapping[UUID, WrittenNode],
    ) -> Level:
        """The next level with its texts and vectors; `written` is what an earlier attempt had committed of it."""
        number = below.number + 1
        figures.sizes[number] = len(planned)
        before = {
            position: Summary((found.title,), found.text, found.meta, Usage())
            for position, node in enumerate(planned)
            if (found := written.get(node.node_id) or kept.get(node.node_id)) is not None
        }
        await report(growth, figures, number, "summarise", 0.0, done=0, planned=len(planned))
        progress = LevelProgress(growth, figures, number, len(planned))
        with growth.run.timed("write_s"):
            text = await LevelWriter(self._open, growth, below, planned, progress).write(before)
        path = growth.scratch / f"level-{number}.f32"
        level = next_level(below, planned, text, path, committed=len(written) == len(planned))
        figures.add_level(level, growth.summarizer.concurrency, growth.run.context.meter)
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
