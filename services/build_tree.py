"""The build, from the stored chunks of a dataset to its live tree.

What is decided is committed before anything is paid for it: the tree with its leaves first, then each level's groups
before its first summary. A build that is killed at any point is found again by its fingerprint and goes on from its
last committed plan. Readers keep the tree of before until one transaction puts the new one in its place.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from services.clustering import Grouping, Matrix, load_grouper
from services.domain import Dataset, Job, Leaf, PlannedNode, TenantId, Tree, Usage, WrittenNode, tree_name
from services.jobs import JobRun
from services.ports import Compute, Embedder, FloatArray, Models, Summarizer, Summary, SummaryRequest
from services.postings import PostingLists, indexed_text, posting_lists
from services.store import NewVector, OpenUnitOfWork
from services.tree_level import (
    Level,
    Positions,
    everything,
    leaf_level,
    member_positions,
    next_level,
    plan,
    plan_stats,
    share_done,
    written_nodes,
)
from services.tree_params import AUTO, TreeParams
from services.write_level import LevelWriter, Prompt
from utils.concurrency import both
from utils.hashing import digest_of

logger = logging.getLogger(__name__)

# Part of the fingerprint: it moves when the same leaves and parameters would make another tree.
ENGINE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Debounce:
    """Uploads that arrive close together share a build: it waits for `quiet_s` without one, at most `longest_s`."""

    quiet_s: float = 5.0
    longest_s: float = 30.0

    def remaining(self, dataset: Dataset, indexing: int, now: datetime) -> float:
        """Seconds still to wait; `indexing` uploads are on their way to the same tree."""
        if dataset.wanted_since is None or dataset.wanted_at is None:
            return 0.0
        longest = self.longest_s - (now - dataset.wanted_since).total_seconds()
        quiet = self.quiet_s - (now - dataset.wanted_at).total_seconds()
        return max(0.0, min(longest, max(quiet, 1.0 if indexing else 0.0)))


@dataclass(frozen=True, slots=True)
class Build:
    """What stays the same over one build, and the figures that grow with it. `known` are nodes whose text is there
    already although their level is not committed; `anew` are nodes whose earlier answers were of no use."""

    run: JobRun
    dataset: Dataset
    params: TreeParams
    tree: Tree
    leaves: Sequence[Leaf]
    embedder: Embedder
    summarizer: Summarizer
    scratch: Path
    sizes: dict[int, int] = field(default_factory=dict)
    floors_s: list[float] = field(default_factory=list)
    written_s: dict[int, float] = field(default_factory=dict)
    known: Mapping[UUID, WrittenNode] = field(default_factory=dict)
    anew: frozenset[UUID] = frozenset()
    degraded: list[UUID] = field(default_factory=list)

    async def report(self, level: int, step: str, share: float, **detail: Any) -> None:
        progress = share_done(self.sizes, level, share)
        await self.run.report(f"level {level}: {step}", progress, level=level, **detail)


class TreeBuilder:
    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        params: TreeParams,
        debounce: Debounce,
        models: Models,
        compute: Compute,
    ) -> None:
        self._open = open_unit_of_work
        self._params = params
        self._debounce = debounce
        self._models = models
        self._compute = compute

    async def delay(self, tenant: TenantId, job: Job) -> float:
        """Seconds that a queued build still waits for other uploads."""
        if job.params.get("at_once"):
            return 0.0
        async with self._open(tenant) as work:
            dataset = await work.datasets.get(job.dataset_id)
            indexing = await work.jobs.indexing(job.dataset_id)
        return self._debounce.remaining(dataset, indexing, datetime.now(UTC))

    async def build(self, run: JobRun) -> None:
        """Ends with a live tree of all that the dataset held when the build began."""
        async with self._open(run.tenant) as work:
            dataset = await work.datasets.get(run.job.dataset_id)
            leaves, versions = await work.trees.build_set(dataset.dataset_id)
            live = await work.trees.live(dataset.dataset_id)
        params = self._params.changed(dataset.settings)
        if params.summary_llm == AUTO:
            params = replace(params, summary_llm=self._models.default_chat(run.errand))
        fingerprint = fingerprint_of(dataset, params, leaves)
        if not leaves or (live is not None and live.fingerprint == fingerprint):
            await self._publish(run, dataset, live if leaves else None, versions, {})
            return

        with TemporaryDirectory(prefix="raptor-build-") as scratch:
            # Side by side: the one makes the new tree or finds it begun, the other removes what old builds left.
            with run.timed("db_s"):
                tree, _ = await both(
                    self._open_tree(run, dataset, params, leaves, fingerprint),
                    self._clear_away(run, dataset, keep_fingerprint=fingerprint),
                )
            build = Build(
                run=run,
                dataset=dataset,
                params=params,
                tree=tree,
                leaves=leaves,
                embedder=self._models.embedder(dataset.space, run.errand),
                summarizer=self._models.summarizer(params.summary_llm, run.errand),
                scratch=Path(scratch),
            )
            top = await self.grow(build)
        await self._publish(run, dataset, tree, versions, build_stats(build, top))
        await self._clear_away(run, dataset)

    async def _open_tree(
        self, run: JobRun, dataset: Dataset, params: TreeParams, leaves: Sequence[Leaf], fingerprint: str
    ) -> Tree:
        async with self._open(run.tenant, run.lease) as work:
            tree = await work.trees.building(dataset.dataset_id, fingerprint)
            if tree is not None:
                return tree
            documents = {leaf.doc_id for leaf in leaves}
            tree = Tree(
                tree_id=uuid.uuid4(),
                dataset_id=dataset.dataset_id,
                doc_id=documents.pop() if len(documents) == 1 else None,
                state="building",
                fingerprint=fingerprint,
                revision=dataset.wanted_revision,
                params=params.as_json() | {"embedder": dataset.space.name, "engine_version": ENGINE_VERSION},
                stats={},
                root_id=None,
                created_at=datetime.now(UTC),
                published_at=None,
            )
            await work.trees.abandon(dataset.dataset_id)
            await work.trees.begin(tree, leaves)
            await work.commit()
            return tree

    async def grow(self, build: Build) -> Level:
        """The level loop. A level's texts are committed while the next level is clustered."""
        async with self._open(build.run.tenant) as work:
            stored = {level.level: level for level in await work.trees.levels(build.tree.tree_id)}
        level = await self._leaf_level(build)
        while level.number == 0 or len(level) > 1:
            begun = stored.get(level.number + 1)
            if begun is not None:
                await self._commit_texts(build, level)
                level = await self._write(build, level, begun.planned, begun.written)
                continue
            grouping, _ = await both(self._group(build, level), self._commit_texts(build, level))
            planned = await self._plan(build, level, grouping)
            level = await self._write(build, level, planned, {})
        await self._commit_texts(build, level)
        return level

    async def _leaf_level(self, build: Build) -> Level:
        """Streams the leaves' vectors from the database into a file that the process pool reads."""
        path = build.scratch / "level-0.f32"
        chunk_ids = [leaf.chunk_id for leaf in build.leaves]
        with build.run.timed("db_s"), path.open("wb") as file:
            async with self._open(build.run.tenant) as work:
                async for block in work.vectors.of_chunks(chunk_ids, build.dataset.space):
                    block.tofile(file)
        build.sizes[0] = len(chunk_ids)
        return leaf_level(build.leaves, Matrix.in_file(path, (len(chunk_ids), build.dataset.space.dimensions)))

    async def _group(self, build: Build, level: Level) -> Grouping:
        await build.report(level.number + 1, "cluster", 0.0, nodes=len(level))
        cap = build.params.levels_cap
        if len(level) == 1 or (cap is not None and level.number >= cap):
            return everything(level)
        with build.run.timed("cluster_s"):
            group = load_grouper(build.params.grouper)
            return await group(level.frontier, build.params.grouping, self._compute)

    async def _plan(self, build: Build, level: Level, grouping: Grouping) -> Sequence[PlannedNode]:
        """Commits the groups before the first of their summaries is asked for."""
        planned = plan(build.tree.tree_id, level, grouping)
        stats = plan_stats(level, grouping)
        logger.info("level planned", extra={"tree_level": level.number + 1, **stats})
        with build.run.timed("db_s"):
            async with self._open(build.run.tenant, build.run.lease) as work:
                await work.trees.plan_level(build.tree.tree_id, level.number + 1, planned, stats)
                await work.commit()
        return planned

    async def _write(
        self, build: Build, below: Level, planned: Sequence[PlannedNode], written: Mapping[UUID, WrittenNode]
    ) -> Level:
        """The next level with its texts and vectors; `written` is what an earlier attempt had committed of it."""
        number = below.number + 1
        build.sizes[number] = len(planned)
        members = member_positions(below, planned)
        prompts = [Prompt(position, int(below.frontier.tokens[rows].sum())) for position, rows in enumerate(members)]
        before = {
            position: Summary((found.title,), found.text, found.meta, Usage())
            for position, node in enumerate(planned)
            if (found := written.get(node.node_id) or build.known.get(node.node_id)) is not None
        }
        writer = LevelWriter(
            summarizer=build.summarizer,
            embedder=build.embedder,
            load=lambda positions: self._requests(
                build,
                below,
                [(members[position], planned[position].node_id in build.anew) for position in positions],
            ),
            known_vectors=lambda keys: self._known_vectors(build, keys),
            store_vectors=lambda rows: self._store_vectors(build, number, planned, rows),
            progress=LevelProgress(build, number, len(planned)),
            meter=build.run.errand.meter,
        )
        await build.report(number, "summarise", 0.0, done=0, planned=len(planned))
        began = time.monotonic()
        with build.run.timed("write_s"):
            text = await writer.write(prompts, before)
        build.written_s[number] = time.monotonic() - began
        meter = build.run.errand.meter
        concurrency, call_s, embed_s = build.summarizer.concurrency, meter.latency_s("chat"), meter.latency_s("embed")
        build.floors_s.append(text.floor_s(concurrency, call_s, embed_s))
        build.degraded.extend(
            node.node_id for node, summary in zip(planned, text.summaries, strict=True) if "reason" in summary.meta
        )
        path = build.scratch / f"level-{number}.f32"
        return next_level(below, planned, text, path, committed=len(written) == len(planned))

    async def _requests(
        self, build: Build, below: Level, groups: Sequence[tuple[Positions, bool]]
    ) -> list[SummaryRequest]:
        if below.text is not None:
            texts: Mapping[int, str] = dict(enumerate(summary.text for summary in below.text.summaries))
        else:
            wanted = {int(row) for rows, _ in groups for row in rows}
            async with self._open(build.run.tenant) as work:
                stored = await work.trees.leaf_texts([below.node_ids[row] for row in wanted])
            texts = {row: stored[below.node_ids[row]] for row in wanted}
        return [
            SummaryRequest(
                texts=tuple(texts[int(row)] for row in rows),
                heading_paths=tuple(below.paths[row] for row in rows),
                token_budget=build.params.grouping.token_budget,
                max_tokens=build.params.summary_tokens,
                # The tree is as old as the mending: what a killed attempt of it was answered is of use.
                since=build.tree.created_at if anew else None,
            )
            for rows, anew in groups
        ]

    async def _known_vectors(self, build: Build, keys: Sequence[bytes]) -> Mapping[bytes, FloatArray]:
        async with self._open(build.run.tenant) as work:
            return await work.vectors.known(keys, build.dataset.space)

    async def _store_vectors(
        self,
        build: Build,
        number: int,
        planned: Sequence[PlannedNode],
        rows: Sequence[tuple[int, bytes, FloatArray]],
    ) -> None:
        tree_id = build.tree.tree_id
        vectors = [
            NewVector("tree_node", planned[position].node_id, tree_id, number, key, vector)
            for position, key, vector in rows
        ]
        async with self._open(build.run.tenant, build.run.lease) as work:
            await work.vectors.add(build.dataset.dataset_id, build.dataset.space, vectors)
            await work.commit()

    async def _commit_texts(self, build: Build, level: Level) -> None:
        if level.text is None or level.committed:
            return
        stats = {
            "usage_calls": level.text.usage.calls,
            "write_s": round(build.written_s[level.number], 4),
            "calls_s": round(sum(level.text.latencies_s), 4),  # of all lanes together
        }
        nodes = written_nodes(level, build.leaves)
        texts = [indexed_text((node.title,), node.text) for node in nodes]
        postings: PostingLists = await self._compute(posting_lists, level.number, texts)
        with build.run.timed("db_s"):
            async with self._open(build.run.tenant, build.run.lease) as work:
                await work.trees.write_level(build.tree.tree_id, level.number, nodes, stats)
                await work.postings.add(build.dataset.dataset_id, build.tree.tree_id, postings)
                await work.commit()

    async def _publish(
        self, run: JobRun, dataset: Dataset, tree: Tree | None, versions: Sequence[UUID], stats: Mapping[str, Any]
    ) -> None:
        """One transaction: the tree is live, its versions are served, the job and all that waited for it are done."""
        revision = dataset.wanted_revision
        async with self._open(run.tenant, run.lease) as work:
            if tree is None:
                await work.trees.unpublish(dataset.dataset_id, revision)
            else:
                await work.trees.publish(tree.tree_id, dataset.dataset_id, revision, versions, stats)
            name = tree_name(tree.tree_id) if tree is not None else None
            await work.jobs.finish_waiting(dataset.dataset_id, revision, name)
            await work.jobs.succeed(run.lease, {"tree_id": name, "unchanged": not stats, **stats}, run.figures())
            await work.commit()

    async def _clear_away(self, run: JobRun, dataset: Dataset, keep_fingerprint: str | None = None) -> None:
        async with self._open(run.tenant) as work:
            await work.trees.clear_away(dataset.dataset_id, keep_fingerprint)
            await work.commit()


class LevelProgress:
    """Called with the number of nodes that were finished; tells the job how far the level is and how long it takes."""

    def __init__(self, build: Build, level: int, planned: int) -> None:
        self._build = build
        self._level = level
        self._planned = planned
        self._done = 0
        self._began = time.monotonic()

    async def __call__(self, finished: int) -> None:
        self._done += finished
        share = self._done / self._planned
        left = (time.monotonic() - self._began) * (1 - share) / share
        await self._build.report(
            self._level, "summarise", share, done=self._done, planned=self._planned, seconds_left=round(left, 1)
        )


def fingerprint_of(dataset: Dataset, params: TreeParams, leaves: Sequence[Leaf]) -> str:
    """The same leaves, models and parameters: the same tree, which is then neither built nor paid again."""
    shape = (f"{name}={value}" for name, value in sorted(params.as_json().items()))
    return digest_of(
        [f"engine={ENGINE_VERSION}", dataset.space.name, *shape, *sorted(leaf.chunk_id.hex for leaf in leaves)]
    )


def build_stats(build: Build, top: Level) -> dict[str, Any]:
    """Depth and the figures that every build reports: what it took beside what its provider's latency alone takes."""
    figures = build.run.figures()
    wall_s, floor_s = figures["timings"]["wall_s"], sum(build.floors_s)
    return {
        "depth": top.number,
        "leaves": len(build.leaves),
        "summaries": sum(size for number, size in build.sizes.items() if number > 0),
        "degraded": len(build.degraded),
        "usage": figures["usage"],
        "timings": figures["timings"] | {"floor_s": round(floor_s, 4)},
        "wall_to_floor": round(wall_s / floor_s, 3) if floor_s > 0 else None,
    }
