"""The build, from the stored chunks of a dataset to its live tree.

The tree and its leaves are committed before anything is paid for it. A build that is killed at any point is found again
by its fingerprint and goes on where it stopped. Readers keep the tree of before until one transaction puts the new one
in its place.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from uuid import UUID

from services.compute import Compute
from services.domain import Dataset, JsonObject, TenantId
from services.jobs.job import Job, Lease
from services.jobs.run import JobRun
from services.models.registry import Models
from services.storage import OpenStorage, UnitOfWork
from services.tree.cluster import Clustering
from services.tree.grow import TreeGrower
from services.tree.growth import Growth
from services.tree.maintain import TreeMaintainer, clustering_stats
from services.tree.nodes import Leaf, Tree, tree_name
from services.tree.params import TreeParams
from utils.concurrency import both
from utils.hashing import digest_of

# Part of the fingerprint: it moves when the same leaves and parameters would make another tree.
ENGINE_VERSION = 2


class BuildStorage(UnitOfWork, Protocol):
    """What a build asks of storage, beside its level loop."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def count_indexing(self, dataset_id: str) -> int:
        """How many uploads that want a tree are not embedded yet."""
        ...

    async def leaves_to_build(self, dataset_id: str) -> tuple[list[Leaf], list[UUID]]:
        """The leaves that a tree built now would stand on, in reading order, and the versions they belong to."""
        ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def unfinished_tree(self, dataset_id: str, fingerprint: str) -> Tree | None: ...

    async def begin_tree(self, tree: Tree, leaves: Sequence[Leaf]) -> None:
        """The one tree of its dataset that is under construction; what there is of another is removed later."""
        ...

    async def publish_tree(
        self, tree_id: UUID, dataset_id: str, revision: int, version_ids: Collection[UUID], stats: JsonObject
    ) -> None:
        """Makes the tree the live one and its versions the served ones."""
        ...

    async def unpublish_tree(self, dataset_id: str, revision: int) -> None:
        """The dataset has no tree any more: nothing is left to make one of."""
        ...

    async def remove_old_trees(self, dataset_id: str, keep_fingerprint: str | None) -> int:
        """Removes what abandoned builds and superseded trees left; how many trees that were."""
        ...

    async def finish_waiting(self, dataset_id: str, revision: int, tree_name: str | None) -> None:
        """The uploads that waited for a tree of this revision have succeeded."""
        ...

    async def succeed_job(self, lease: Lease, result: JsonObject, figures: JsonObject) -> None: ...


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


class TreeBuilder:
    def __init__(
        self,
        open_storage: OpenStorage[BuildStorage],
        params: TreeParams,
        debounce: Debounce,
        models: Models,
        grower: TreeGrower,
        maintainer: TreeMaintainer,
        compute: Compute,
    ) -> None:
        self._open = open_storage
        self._params = params
        self._debounce = debounce
        self._models = models
        self._grower = grower
        self._maintainer = maintainer
        self._compute = compute

    async def delay(self, tenant: TenantId, job: Job) -> float:
        """Seconds that a queued build still waits for other uploads."""
        if job.params.get("at_once"):
            return 0.0
        async with self._open(tenant) as work:
            dataset = await work.get_dataset(job.dataset_id)
            indexing = await work.count_indexing(job.dataset_id)
        return self._debounce.remaining(dataset, indexing, datetime.now(UTC))

    async def build(self, run: JobRun) -> None:
        """Ends with a live tree of all that the dataset held when the build began."""
        async with self._open(run.tenant) as work:
            dataset = await work.get_dataset(run.job.dataset_id)
            leaves, versions = await work.leaves_to_build(dataset.dataset_id)
            live = await work.live_tree(dataset.dataset_id)
        params = self._params.changed(dataset.settings)
        params = replace(params, summary_llm=self._models.chosen_chat(params.summary_llm, run.context))
        fingerprint = fingerprint_of(dataset, params, leaves)
        anew = bool(run.job.params.get("full"))
        if not leaves or (live is not None and live.fingerprint == fingerprint and not anew):
            await self._publish(run, dataset, live if leaves else None, versions, {})
            return

        with TemporaryDirectory(prefix="raptor-build-") as scratch:
            maintenance = None
            if live is not None and live.params == stored_params(dataset, params) and not anew:
                maintenance = await self._maintainer.next_generation(
                    run, live, leaves, params, dataset.space, Path(scratch)
                )
            leaves = list(maintenance.leaves) if maintenance is not None else leaves
            # Side by side: the one makes the new tree or finds it begun, the other removes what old builds left.
            with run.timed("db_s"):
                tree, _ = await both(
                    self._open_tree(run, dataset, params, leaves, fingerprint),
                    self._remove_old_trees(run, dataset, keep_fingerprint=fingerprint),
                )
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
            grown = await self._grower.grow(growth, maintenance or Clustering(params, self._compute), kept={})
            if maintenance is not None:
                stats = await maintenance.as_stats()
            else:
                stats = await clustering_stats(self._compute, grown, params)
        await self._publish(run, dataset, tree, versions, grown.figures.as_stats(run, grown.depth) | stats)
        await self._remove_old_trees(run, dataset)

    async def _open_tree(
        self, run: JobRun, dataset: Dataset, params: TreeParams, leaves: Sequence[Leaf], fingerprint: str
    ) -> Tree:
        async with self._open(run.tenant, run.lease) as work:
            tree = await work.unfinished_tree(dataset.dataset_id, fingerprint)
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
                params=stored_params(dataset, params),
                stats={},
                root_id=None,
                created_at=datetime.now(UTC),
                published_at=None,
            )
            await work.begin_tree(tree, leaves)
            await work.commit()
            return tree

    async def _publish(
        self, run: JobRun, dataset: Dataset, tree: Tree | None, versions: Sequence[UUID], stats: Mapping[str, Any]
    ) -> None:
        """One transaction: the tree is live, its versions are served, the job and all that waited for it are done."""
        revision = dataset.wanted_revision
        async with self._open(run.tenant, run.lease) as work:
            if tree is None:
                await work.unpublish_tree(dataset.dataset_id, revision)
            else:
                await work.publish_tree(tree.tree_id, dataset.dataset_id, revision, versions, stats)
            name = tree_name(tree.tree_id) if tree is not None else None
            await work.finish_waiting(dataset.dataset_id, revision, name)
            await work.succeed_job(run.lease, {"tree_id": name, "unchanged": not stats, **stats}, run.figures())
            await work.commit()

    async def _remove_old_trees(self, run: JobRun, dataset: Dataset, keep_fingerprint: str | None = None) -> None:
        async with self._open(run.tenant) as work:
            await work.remove_old_trees(dataset.dataset_id, keep_fingerprint)
            await work.commit()


def stored_params(dataset: Dataset, params: TreeParams) -> dict[str, Any]:
    """How a tree was made, as it is stored with it."""
    return params.as_json() | {"embedder": dataset.space.name, "engine_version": ENGINE_VERSION}


def fingerprint_of(dataset: Dataset, params: TreeParams, leaves: Sequence[Leaf]) -> str:
    """The same leaves, models and parameters: the same tree, which is then neither built nor paid again."""
    shape = (f"{name}={value}" for name, value in sorted(params.as_json().items()))
    return digest_of(
        [f"engine={ENGINE_VERSION}", dataset.space.name, *shape, *sorted(leaf.chunk_id.hex for leaf in leaves)]
    )
