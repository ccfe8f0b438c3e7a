"""What is done to documents, datasets and jobs besides adding to them. Each is one transaction: nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.cost.budget import Budget, CallContext, Keys
from services.documents import DocumentFilter
from services.domain import JsonObject, TenantId, VectorIndex
from services.errors import (
    AlreadyRunning,
    DocumentNotFound,
    GenerationErased,
    GenerationNotFound,
    InvalidRequest,
    MissingProviderKey,
    TreeNotFound,
)
from services.jobs.job import Job, NewJob
from services.jobs.limits import JobLimits
from services.jobs.payer import payer_of
from services.jobs.secrets import SecretBox, bring_keys
from services.models.registry import AUTO, Models
from services.storage import OpenStorage
from services.text.extractive import NAME as EXTRACTIVE
from services.tree.generations import Generation, RolledBack
from services.tree.params import TreeParams
from services.tree.rewriting import Rewriting, RewritingStorage
from services.tree.writer import writer_of


class LifecycleStorage(RewritingStorage, Protocol):
    """What changes to documents, datasets and jobs ask of storage, beside what their rewriting does."""

    async def change_dataset(self, dataset_id: str, *, vector_index: VectorIndex | None, settings: JsonObject) -> None:
        """Changes what was asked for by name and leaves the rest."""
        ...

    async def delete_dataset(self, dataset_id: str) -> None:
        """Raises DatasetNotFound."""
        ...

    async def lock_dataset(self, dataset_id: str) -> None:
        """Until the unit of work ends nobody else changes its documents or trees, or keeps what was written from them.
        Raises DatasetNotFound."""
        ...

    async def find_documents(self, dataset_id: str, wanted: DocumentFilter, *, deleted: bool) -> list[str]:
        """Their ids, the oldest first; deleted ones among them with `deleted`."""
        ...

    async def delete_documents(self, dataset_id: str, doc_ids: Sequence[str], *, hard: bool) -> int:
        """How many of them there were."""
        ...

    async def undelete_document(self, dataset_id: str, doc_id: str) -> bool | None:
        """Whether its newest version is one for the tree; None where it was not deleted. Raises DocumentNotFound."""
        ...

    async def find_generation(self, dataset_id: str, generation: int) -> Generation | None: ...

    async def restore_generation(self, dataset_id: str, generation: Generation) -> int:
        """Serves its tree and its documents again; the number of the generation that begins with it."""
        ...

    async def is_behind(self, dataset_id: str, tree_id: UUID) -> bool:
        """Whether the tree tells of what is not served, or lacks a served document that no upload is bringing."""
        ...

    async def start_job(self, job: NewJob) -> UUID:
        """Adds the job and its place in the queue."""
        ...

    async def get_job(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        ...

    async def cancel_job(self, job_id: UUID) -> Job:
        """The job as it was; what a cancelled upload was to bring in never goes live. Raises JobNotFound."""
        ...

    async def cancel_uploads_of(self, dataset_id: str, doc_ids: Sequence[str]) -> None: ...

    async def begin_builds_anew(self, dataset_id: str, payer: str) -> None:
        """Builds that run and may hold what this payer's uploads brought begin again, with what is there now."""
        ...

    async def retry_job(self, job_id: UUID, budget: Budget, keys: Keys) -> UUID:
        """The job that goes on, for whom these keys belong to: this one, or for a build the next one. Limits in
        `budget` take the place of the job's own; what it used counts. Raises JobNotFound, VersionConflict."""
        ...

    async def wishes_of(self, job_id: UUID) -> tuple[bool, bool]:
        """Whether any version that the job brings is for the tree, and whether any is refined by a chat model."""
        ...


@dataclass(frozen=True, slots=True)
class Rebuild:
    """`warnings` say so where the name of the model for the summaries is that of a retired one."""

    job_id: UUID
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deletion:
    """The documents, and the job that writes anew what their text went into; None where there is nothing to write, or
    nobody to pay for it."""

    doc_ids: tuple[str, ...]
    job_id: UUID | None


async def delete(work: LifecycleStorage, dataset_id: str, doc_ids: Sequence[str], *, hard: bool) -> int:
    """The dataset is locked already."""
    if hard:
        await work.cancel_uploads_of(dataset_id, doc_ids)
    return await work.delete_documents(dataset_id, doc_ids, hard=hard)


class Lifecycle:
    def __init__(
        self, open_storage: OpenStorage[LifecycleStorage], tree_params: TreeParams, models: Models, secrets: SecretBox
    ) -> None:
        self._open = open_storage
        self._tree_params = tree_params
        self._models = models
        self._secrets = secrets
        self._rewriting = Rewriting(models, secrets, tree_params.summary_llm)

    async def delete_document(
        self, tenant: TenantId, dataset_id: str, doc_id: str, keys: Keys, *, hard: bool
    ) -> UUID | None:
        """Gone from retrieval when this returns, with every summary that its text went into; the job that writes those
        anew, or None where there is no tree or nobody to pay for it: the dataset then waits for a key. Hard: text,
        chunks, vectors, those summaries and what was paid for them are erased, and uploads of the document that have
        not ended are cancelled."""
        async with self._open(tenant) as work:
            await work.lock_dataset(dataset_id)
            if not await delete(work, dataset_id, [doc_id], hard=hard):
                raise DocumentNotFound(doc_id=doc_id)
            job_id = await self._rewriting.request(work, dataset_id, keys)
            await work.commit()
        return job_id

    async def delete_matching(
        self, tenant: TenantId, dataset_id: str, wanted: DocumentFilter, keys: Keys, *, hard: bool, dry_run: bool
    ) -> Deletion:
        """As `delete_document`, of all that the filter chooses, in one transaction with one build; hard: of those that
        are deleted already too. With `dry_run` it only says which they are. Raises DatasetNotFound, InvalidRequest for
        a filter that chooses everything."""
        if wanted.is_empty:
            raise InvalidRequest(
                "`filter` names no condition, and would choose every document. To remove all, DELETE the dataset.",
                field="filter",
            )
        async with self._open(tenant) as work:
            await (work.get_dataset if dry_run else work.lock_dataset)(dataset_id)
            doc_ids = await work.find_documents(dataset_id, wanted, deleted=hard)
            if dry_run or not doc_ids:
                return Deletion(tuple(doc_ids), None)
            await delete(work, dataset_id, doc_ids, hard=hard)
            job_id = await self._rewriting.request(work, dataset_id, keys)
            await work.commit()
        return Deletion(tuple(doc_ids), job_id)

    async def undelete_document(self, tenant: TenantId, dataset_id: str, doc_id: str, keys: Keys) -> UUID | None:
        """A document that was deleted and not erased is back, in retrieval at once as far as the live tree still holds
        it; the job that puts it into the tree again, or None where there is nothing to do. One that is not deleted
        stays as it is."""
        async with self._open(tenant) as work:
            await work.lock_dataset(dataset_id)
            for_tree = await work.undelete_document(dataset_id, doc_id)
            job_id = (
                await self._rewriting.request(work, dataset_id, keys, anyhow=for_tree) if for_tree is not None else None
            )
            await work.commit()
        return job_id

    async def delete_dataset(self, tenant: TenantId, dataset_id: str) -> None:
        async with self._open(tenant) as work:
            await work.delete_dataset(dataset_id)
            await work.commit()

    async def rebuild(
        self, tenant: TenantId, dataset_id: str, changes: JsonObject, keys: Keys, budget: Budget, *, full: bool
    ) -> Rebuild:
        """A build that begins at once; `changes` to the tree's parameters stay with the dataset. Raises
        AlreadyRunning while one runs, InvalidRequest for parameters that make no sense, UnknownModel,
        MissingProviderKey."""
        async with self._open(tenant) as work:
            dataset = await work.get_dataset(dataset_id)
            running = await work.running_job(dataset_id, "build")
            if running is not None:
                raise AlreadyRunning(job_id=running.hex)
            params = self._tree_params.changed(changes, dataset.settings)
            context = CallContext(tenant, dataset_id, keys=keys)
            self._models.check(params.summary_llm, context)
            self._models.embedder(dataset.space, context)
            if changes:
                await work.change_dataset(dataset_id, vector_index=None, settings=changes)
            await work.want_tree(dataset_id)
            wishes = {"whole": True, "full": full, **JobLimits(budget).as_params()}
            job_id = await work.request_build(dataset_id, payer_of(keys, budget), at_once=True, wishes=wishes)
            await bring_keys(work, self._secrets, job_id, keys)
            await work.commit()
        note = self._models.resolve_chat(self._models.chosen_chat(params.summary_llm, context)).note
        return Rebuild(job_id, (note,) if note else ())

    async def roll_back(self, tenant: TenantId, dataset_id: str, number: int, keys: Keys) -> RolledBack:
        """Tree and documents of a kept generation are served again, as a new generation; calls no model. Raises
        DatasetNotFound, GenerationNotFound, GenerationErased, AlreadyRunning while a tree is built or mended."""
        async with self._open(tenant) as work:
            await work.lock_dataset(dataset_id)
            dataset = await work.get_dataset(dataset_id)
            found = await work.find_generation(dataset_id, number)
            if found is None:
                raise GenerationNotFound(dataset_id=dataset_id, generation=number)
            if found.tree_id == dataset.live_tree_id:
                return RolledBack(dataset.generation, found.tree_id, unchanged=True)
            if found.erased_at is not None:
                raise GenerationErased(dataset_id=dataset_id, generation=number)
            running = await work.running_job(dataset_id, "build", "mend")
            if running is not None:
                raise AlreadyRunning(job_id=running.hex)
            now = await work.restore_generation(dataset_id, found)
            behind = await work.is_behind(dataset_id, found.tree_id)
            job_id = await self._rewriting.request(work, dataset_id, keys) if behind else None
            await work.commit()
        return RolledBack(now, found.tree_id, unchanged=False, job_id=job_id)

    async def retry_nodes(self, tenant: TenantId, dataset_id: str, keys: Keys, budget: Budget) -> UUID:
        """A job that has the nodes of the live tree that were written without their model written by it. Raises
        TreeNotFound, UnknownModel, MissingProviderKey."""
        async with self._open(tenant) as work:
            dataset = await work.get_dataset(dataset_id)
            tree = await work.live_tree(dataset_id)
            if tree is None:
                raise TreeNotFound(dataset_id=dataset_id)
            context = CallContext(tenant, dataset_id, keys=keys)
            self._models.check(str(tree.params["summary_llm"]), context)
            self._models.embedder(dataset.space, context)
            mending = NewJob("mend", dataset_id, None, None, payer_of(keys, budget), JobLimits(budget).as_params())
            job_id = await work.start_job(mending)
            await bring_keys(work, self._secrets, job_id, keys)
            await work.commit()
        return job_id

    async def cancel_job(self, tenant: TenantId, job_id: UUID) -> None:
        """Ends a job that has not ended; what it finished is kept. Does nothing to one that has ended."""
        async with self._open(tenant) as work:
            await work.lock_dataset((await work.get_job(job_id)).dataset_id)
            job = await work.cancel_job(job_id)
            # With a build go the uploads that waited for it, and another build of their payer may hold them.
            if job.job_type == "build" or job.awaits_revision is not None:
                await work.begin_builds_anew(job.dataset_id, job.payer)
            await work.commit()

    async def retry_job(self, tenant: TenantId, job_id: UUID, keys: Keys, budget: Budget) -> UUID:
        """Takes a failed or cancelled job up again, where it stopped, with limits in the place of those it had; what
        it used before counts. One that succeeded with nodes that were written without their model is mended. `keys`
        are brought anew: those of the first time were erased when the job ended. Raises MissingProviderKey for one
        that is lacking, VersionConflict for another state."""
        async with self._open(tenant) as work:
            job = await work.get_job(job_id)
            await work.lock_dataset(job.dataset_id)
            if job.status == "succeeded" and job.result.get("degraded"):
                params = JobLimits(budget).as_params()
                mending = NewJob("mend", job.dataset_id, None, None, payer_of(keys, budget), params)
                again = await work.start_job(mending)
            else:
                again = await work.retry_job(job_id, budget, keys)
            await self._check_keys(work, job, keys)
            await bring_keys(work, self._secrets, again, keys)
            await work.commit()
        return again

    async def _check_keys(self, work: LifecycleStorage, job: Job, keys: Keys) -> None:
        """The models that the job will call can be called: what is missing is told now, not by a job that fails again.
        Raises MissingProviderKey, UnknownModel."""
        dataset, live = await work.get_dataset(job.dataset_id), await work.live_tree(job.dataset_id)
        context = CallContext(work.tenant, job.dataset_id, keys=keys)
        self._models.embedder(dataset.space, context)
        wanted = str(dataset.settings.get("summary_llm", AUTO))
        for_tree, refined = (False, False) if job.job_type != "ingest" else await work.wishes_of(job.job_id)
        if job.job_type == "mend" and live is not None:
            self._models.check(str(live.params["summary_llm"]), context)
        elif job.job_type == "build" or for_tree:
            self._models.check(writer_of(self._models, wanted, live, context), context)
        if refined and self._models.chosen_chat(wanted, context) == EXTRACTIVE:
            raise MissingProviderKey("The documents are refined by a chat model: send its key with the retry.")
