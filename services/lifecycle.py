"""What is done to documents, datasets and jobs besides adding to them. Each is one transaction: nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.cost import Budget, Errand, Keys
from services.domain import JsonObject, TenantId
from services.errors import AlreadyRunning
from services.ports import Models, SecretBox
from services.store import NewJob, OpenUnitOfWork
from services.tree_params import AUTO, TreeParams


@dataclass(frozen=True, slots=True)
class Rebuild:
    """`warnings` say so where the name of the model for the summaries is that of a retired one."""

    job_id: UUID
    warnings: tuple[str, ...]


class Lifecycle:
    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, tree_params: TreeParams, models: Models, secrets: SecretBox
    ) -> None:
        self._open = open_unit_of_work
        self._tree_params = tree_params
        self._models = models
        self._secrets = secrets

    async def delete_document(self, tenant: TenantId, dataset_id: str, doc_id: str, *, hard: bool) -> UUID | None:
        """Gone from retrieval when this returns, with every summary that its text went into; the job that makes the
        tree anew, or None where there is no tree. Hard: text, chunks, vectors and those summaries are erased."""
        async with self._open(tenant) as work:
            dataset = await work.datasets.get(dataset_id)
            await work.documents.delete(dataset_id, doc_id, hard=hard)
            job_id = None
            if dataset.live_tree_id is not None:
                await work.datasets.want_tree(dataset_id)
                job_id = await work.jobs.request_build(dataset_id)
            await work.commit()
        return job_id

    async def delete_dataset(self, tenant: TenantId, dataset_id: str) -> None:
        async with self._open(tenant) as work:
            await work.datasets.delete(dataset_id)
            await work.commit()

    async def rebuild(
        self, tenant: TenantId, dataset_id: str, changes: JsonObject, keys: Keys, budget: Budget
    ) -> Rebuild:
        """A build that begins at once; `changes` to the tree's parameters stay with the dataset. Raises
        AlreadyRunning while one runs, InvalidRequest for parameters that make no sense, UnknownModel,
        MissingProviderKey."""
        async with self._open(tenant) as work:
            dataset = await work.datasets.get(dataset_id)
            running = await work.jobs.running_build(dataset_id)
            if running is not None:
                raise AlreadyRunning(job_id=running.hex)
            params = self._tree_params.changed({**dataset.settings, **changes})
            errand = Errand(tenant, dataset_id, keys=keys)
            self._models.check(params.summary_llm, errand)
            self._models.embedder(dataset.space, errand)
            if changes:
                await work.datasets.settle(dataset_id, vector_index=None, settings=changes)
            await work.datasets.want_tree(dataset_id)
            limits = {"budget": budget.as_json(), "spent": {}} if budget.as_json() else {}
            job_id = await work.jobs.request_build(dataset_id, at_once=True, limits=limits)
            sealed = {provider: self._secrets.seal(key, job_id.hex) for provider, key in keys.items()}
            await work.jobs.put_secrets(job_id, sealed)
            await work.commit()
        note = self._models.resolve_chat(params.summary_llm).note if params.summary_llm != AUTO else ""
        return Rebuild(job_id, (note,) if note else ())

    async def retry_nodes(self, tenant: TenantId, dataset_id: str, keys: Keys, budget: Budget) -> UUID:
        """A job that has the nodes of the live tree that were written without their model written by it. Raises
        TreeNotFound, UnknownModel, MissingProviderKey."""
        async with self._open(tenant) as work:
            tree = await work.catalog.tree(dataset_id)
            dataset = await work.datasets.get(dataset_id)
            errand = Errand(tenant, dataset_id, keys=keys)
            self._models.check(str(tree.params["summary_llm"]), errand)
            self._models.embedder(dataset.space, errand)
            params = {"budget": budget.as_json()} if budget.as_json() else {}
            job_id = await work.jobs.start(NewJob("mend", dataset_id, None, None, params))
            sealed = {provider: self._secrets.seal(key, job_id.hex) for provider, key in keys.items()}
            await work.jobs.put_secrets(job_id, sealed)
            await work.commit()
        return job_id

    async def cancel_job(self, tenant: TenantId, job_id: UUID) -> None:
        """Ends a job that has not ended; what it finished is kept. Does nothing to one that has ended."""
        async with self._open(tenant) as work:
            await work.jobs.cancel(job_id)
            await work.commit()

    async def retry_job(self, tenant: TenantId, job_id: UUID, keys: Keys, budget: Budget) -> UUID:
        """Takes a failed or cancelled job up again, where it stopped, with limits in the place of those it had; what
        it used before counts. One that succeeded with nodes that were written without their model is mended. `keys`
        are brought anew: those of the first time were erased when the job ended. Raises VersionConflict for another
        state."""
        async with self._open(tenant) as work:
            job = await work.jobs.get(job_id)
            if job.status == "succeeded" and job.result.get("degraded"):
                params = {"budget": budget.as_json()} if budget.as_json() else {}
                again = await work.jobs.start(NewJob("mend", job.dataset_id, None, None, params))
            else:
                again = await work.jobs.retry(job_id, budget.as_json())
            sealed = {provider: self._secrets.seal(key, again.hex) for provider, key in keys.items()}
            await work.jobs.put_secrets(again, sealed)
            await work.commit()
        return again
