"""The build, from the stored chunks of a dataset to its live tree.

The tree and its leaves are committed before anything is paid for it. A build that is killed at any point is found again
by its fingerprint and goes on where it stopped. Readers keep the tree of before until one transaction puts the new one
in its place.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from uuid import UUID

from services.compute import Compute
from services.cost.budget import CallContext
from services.domain import Dataset, JsonObject, TenantId
from services.errors import MissingProviderKey
from services.jobs.job import Job, Lease
from services.jobs.payer import BACKGROUND
from services.jobs.run import JobRun
from services.models.registry import AUTO, Models
from services.storage import OpenStorage, UnitOfWork
from services.tree.cluster import Clustering
from services.tree.generations import OldGenerations, Publication, Reason
from services.tree.grow import TreeGrower
from services.tree.growth import Growth
from services.tree.maintain import TreeMaintainer, clustering_stats
from services.tree.nodes import Leaf, Tree, tree_name
from services.tree.params import TreeParams
from services.tree.writer import writer_of
from utils.hashing import digest_of

# Part of the fingerprint: it moves when the same leaves and parameters would make another tree.
ENGINE_VERSION = 2


class BuildStorage(UnitOfWork, Protocol):
    """What a build asks of storage, beside its level loop."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def count_indexing(self, dataset_id: str, payer: str) -> int:
        """How many of the payer's uploads that want a tree are not embedded yet."""
        ...

    async def leaves_to_build(self, dataset_id: str, payer: str | None) -> tuple[list[Leaf], list[UUID]]:
        """The leaves that this payer's tree stands on, in reading order, and the versions they belong to: those of the
        live tree, and those of the payer's uploads; with None, those of all that is embedded and handed over."""
        ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def unfinished_tree(self, dataset_id: str, fingerprint: str) -> Tree | None: ...

    async def begin_tree(self, tree: Tree, leaves: Sequence[Leaf]) -> None:
        """The one tree of its dataset that is under construction; what there is of another is removed later."""
        ...

    async def publish_tree(self, new: Publication, version_ids: Collection[UUID]) -> None:
        """Makes the tree the live one and its versions the served ones. Raises ConcurrentChange where another
        generation came meanwhile."""
        ...

    async def unpublish_tree(self, dataset_id: str, revision: int, after: int) -> None:
        """The dataset has no tree any more: nothing is left to make one of. Raises ConcurrentChange as
        `publish_tree`."""
        ...

    async def finish_waiting(self, dataset_id: str, revision: int, payer: str | None, result: JsonObject) -> None:
        """The payer's uploads (None: all) that waited for a tree of this revision have succeeded; `result` is added to
        theirs."""
        ...

    async def request_build(
        self, dataset_id: str, payer: str, *, at_once: bool = False, wishes: JsonObject | None = None
    ) -> UUID: ...

    async def succeed_job(self, lease: Lease, result: JsonObject, figures: JsonObject) -> None: ...


# While uploads are on their way, a build looks so often whether they have come; the last one hastens it.
LOOK_AGAIN_S = 2.0


def pause_of(dataset: Dataset, indexing: int, longest_s: float, now: datetime) -> float:
    """Seconds that a build still waits: not at all where nothing is coming, and no longer than `longest_s` since the
    tree fell behind where uploads of its payer are."""
    if not indexing or dataset.wanted_since is None:
        return 0.0
    left = longest_s - (now - dataset.wanted_since).total_seconds()
    return min(max(left, 0.0), LOOK_AGAIN_S)


class TreeBuilder:
    def __init__(
        self,
        open_storage: OpenStorage[BuildStorage],
        params: TreeParams,
        longest_wait_s: float,
        models: Models,
        grower: TreeGrower,
        maintainer: TreeMaintainer,
        compute: Compute,
        old: OldGenerations,
    ) -> None:
        self._open = open_storage
        self._params = params
        self._longest_wait_s = longest_wait_s
        self._models = models
        self._grower = grower
        self._maintainer = maintainer
        self._compute = compute
        self._old = old

    async def delay(self, tenant: TenantId, job: Job) -> float:
        """Seconds that a queued build still waits for other uploads."""
        if job.params.get("at_once"):
            return 0.0
        async with self._open(tenant) as work:
            dataset = await work.get_dataset(job.dataset_id)
            indexing = await work.count_indexing(job.dataset_id, job.payer)
        return pause_of(dataset, indexing, self._longest_wait_s, datetime.now(UTC))

    async def build(self, run: JobRun) -> None:
        """Ends with a live tree of all that the dataset, and this payer's uploads, held when the build began."""
        payer = None if run.job.params.get("whole") else run.job.payer
        async with self._open(run.tenant, snapshot=True) as work:
            dataset = await work.get_dataset(run.job.dataset_id)
            leaves, versions = await work.leaves_to_build(dataset.dataset_id, payer)
            live = await work.live_tree(dataset.dataset_id)
        wanted = self._params.changed({}, dataset.settings)
        writer = writer_of(self._models, wanted.summary_llm, live if payer is not None else None, run.context)
        params = replace(wanted, summary_llm=writer)
        fingerprint = fingerprint_of(dataset, params, leaves)
        anew = bool(run.job.params.get("full"))
        if not leaves or (live is not None and live.fingerprint == fingerprint and not anew):
            await self._publish(run, dataset, live if leaves else None, versions, "maintained", {})
            return

        with TemporaryDirectory(prefix="raptor-build-") as scratch:
            maintenance = None
            any_writer = wanted.summary_llm == AUTO and payer is not None
            if live is not None and not anew and made_alike(live.params, stored_params(dataset, params), any_writer):
                maintenance = await self._maintainer.next_generation(
                    run, live, leaves, params, dataset.space, Path(scratch)
                )
            leaves = list(maintenance.leaves) if maintenance is not None else leaves
            with run.timed("db_s"):
                tree = await self._open_tree(run, dataset, params, leaves, fingerprint)
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
            reason: Reason
            if maintenance is not None:
                reason, stats = "maintained", await maintenance.as_stats()
            else:
                reason = "clustered" if dataset.generation else "first_build"
                stats = await clustering_stats(self._compute, grown, params)
        figures = grown.figures.as_stats(run, grown.depth)
        await self._publish(run, dataset, tree, versions, reason, figures | stats)
        if maintenance is not None and maintenance.clustering_due:
            await self._cluster_anew(run, dataset, params)
        await self._old.remove(run.tenant, dataset.dataset_id)

    async def _cluster_anew(self, run: JobRun, dataset: Dataset, params: TreeParams) -> None:
        """Nobody's upload pays for that: it is done in the background where the service's own keys allow it."""
        context = CallContext(run.tenant, dataset.dataset_id)
        try:
            self._models.check(params.summary_llm, context)
            self._models.embedder(dataset.space, context)
        except MissingProviderKey:
            return
        async with self._open(run.tenant) as work:
            await work.request_build(dataset.dataset_id, BACKGROUND, wishes={"full": True})
            await work.commit()

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
        self,
        run: JobRun,
        dataset: Dataset,
        tree: Tree | None,
        versions: Sequence[UUID],
        reason: Reason,
        stats: Mapping[str, Any],
    ) -> None:
        """One transaction: the tree is live, its versions are served, the job and all that waited for it are done."""
        revision = dataset.wanted_revision
        async with self._open(run.tenant, run.lease) as work:
            if tree is None:
                await work.unpublish_tree(dataset.dataset_id, revision, dataset.generation)
            else:
                new = Publication(dataset.dataset_id, tree.tree_id, revision, dataset.generation, reason, stats)
                await work.publish_tree(new, versions)
            name = tree_name(tree.tree_id) if tree is not None else None
            told = {"tree_id": name, "degraded": stats.get("newly_degraded", 0)}
            payer = None if run.job.params.get("whole") else run.job.payer
            await work.finish_waiting(dataset.dataset_id, revision, payer, told)
            await work.succeed_job(run.lease, {"tree_id": name, "unchanged": not stats, **stats}, run.figures())
            await work.commit()


def stored_params(dataset: Dataset, params: TreeParams) -> dict[str, Any]:
    """How a tree was made, as it is stored with it."""
    return params.as_json() | {"embedder": dataset.space.name, "engine_version": ENGINE_VERSION}


def made_alike(live: JsonObject, now: JsonObject, any_writer: bool) -> bool:
    """Whether a tree may be maintained, or its parameters ask for another one. With `any_writer`, each summary is
    written by whatever model its payer has."""
    but = {"summary_llm"} if any_writer else set()
    return {k: v for k, v in live.items() if k not in but} == {k: v for k, v in now.items() if k not in but}


def fingerprint_of(dataset: Dataset, params: TreeParams, leaves: Sequence[Leaf]) -> str:
    """The same leaves, models and parameters: the same tree, which is then neither built nor paid again."""
    shape = (f"{name}={value}" for name, value in sorted(params.as_json().items()))
    return digest_of(
        [f"engine={ENGINE_VERSION}", dataset.space.name, *shape, *sorted(leaf.chunk_id.hex for leaf in leaves)]
    )
