"""How a job is run: claimed, fenced by its attempt, and ended in one of three ways.

Every write of a flow goes through a unit of work that was opened for the job's lease. When a job is cancelled, or
taken over because its worker was thought dead, the lease is no longer current and the next commit raises LeaseLost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.cost.budget import Budget, Keys
from services.domain import Dataset, JsonObject, TenantId
from services.errors import (
    AttemptsExhausted,
    BudgetExceeded,
    ConcurrentChange,
    DatabaseUnavailable,
    DatasetNotFound,
    LeaseLost,
    MissingProviderKey,
    ProviderError,
    RaptorError,
)
from services.jobs.job import Job, JobStatus, JobType, Lease
from services.jobs.run import JobRun, ReportStorage
from services.jobs.secrets import SecretBox
from services.storage import OpenStorage

logger = logging.getLogger(__name__)

# A job that ends its worker this often is not tried again: it would go round for ever.
MAX_ATTEMPTS = 5
# A provider that asks for a longer pause ends the job, which then says so.
LONGEST_PAUSE_S = 3600.0
# What ends an attempt without being its fault: it does not count, and what was paid for is found again.
INTERRUPTIONS = (DatabaseUnavailable, ConcurrentChange)
INTERRUPTION_PAUSE_S, LONGEST_INTERRUPTION_S = 0.5, 10.0
MAX_INTERRUPTIONS = 1_000

Flow = Callable[[JobRun], Awaitable[None]]
# Seconds that a job should still wait before it begins.
Delay = Callable[[TenantId, Job], Awaitable[float]]
# Gives the dataset the index that its size asks for. It may take minutes, and nobody waits for it.
KeepIndex = Callable[[TenantId, Dataset], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """What is particular to one kind of job: its flow, how long a queued one still waits for others, and how often at
    most its jobs look after their dataset's vector index (counting the vectors after each of ten thousand uploads would
    cost more than all of them)."""

    flow: Flow
    delay: Delay | None = None
    index_every_s: float = 0.0


class RunStorage(ReportStorage, Protocol):
    """What running a job asks of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def lock_dataset(self, dataset_id: str) -> None:
        """As whoever changes documents or trees of a dataset does before anything else. Raises DatasetNotFound."""
        ...

    async def get_job(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        ...

    async def claim_job(self, job_id: UUID) -> tuple[Job, Lease] | None:
        """Begins an attempt; None if there is nothing left to do."""
        ...

    async def secrets_of(self, job_id: UUID) -> Mapping[str, bytes]:
        """Sealed keys by provider."""
        ...

    async def postpone_job(self, job_id: UUID, delay_s: float, *, interrupted: bool = False) -> None:
        """Back to the queue; `interrupted`: the attempt that ended did so for no fault of the job."""
        ...

    async def is_queued_as(self, job_id: UUID, queue_job_id: int | None) -> bool:
        """Whether the job has not ended and this is its row in the queue now."""
        ...

    async def fail_job(self, lease: Lease, status: JobStatus, error: JsonObject, figures: JsonObject) -> None:
        """The job has failed, and with a build the uploads that waited for it."""
        ...

    async def fail_versions(self, job_id: UUID) -> None:
        """Those of the job's versions that were never embedded have failed; the others stay as they are."""
        ...

    async def need_key(self, dataset_id: str) -> None:
        """The tree is behind and waits for a caller who brings its model's key."""
        ...


class JobRunner:
    """Runs one job from its queue row to its end. Nothing that happens inside leaves a job without a state."""

    def __init__(
        self,
        open_storage: OpenStorage[RunStorage],
        kinds: Mapping[JobType, JobKind],
        keep_index: KeepIndex,
        secrets: SecretBox,
        budget: Budget = Budget(),
    ) -> None:
        """`budget` bounds every job; a job's own may be lower."""
        self._open = open_storage
        self._kinds = kinds
        self._keep_index_of = keep_index
        self._secrets = secrets
        self._budget = budget
        self._index_kept: dict[tuple[TenantId, str], float] = {}

    async def run(self, tenant: TenantId, job_id: UUID) -> None:
        async with self._open(tenant) as work:
            job = await work.get_job(job_id)
        kind = self._kinds[job.job_type]
        delay_s = await kind.delay(tenant, job) if kind.delay and job.status == "queued" else 0.0
        if delay_s > 0:
            async with self._open(tenant) as work:
                await work.postpone_job(job_id, delay_s)
                await work.commit()
            return
        async with self._open(tenant) as work:
            claimed = await work.claim_job(job_id)
            sealed = await work.secrets_of(job_id)
            await work.commit()
        if claimed is None:
            return
        run = JobRun(self._open, tenant, *claimed, self._opened(job_id, sealed), self._budget)
        logger.info("job started", extra={"job_type": run.job.job_type, "attempt": run.lease.attempt})
        try:
            if run.attempt > MAX_ATTEMPTS:
                raise AttemptsExhausted(attempts=run.attempt - 1)
            await kind.flow(run)
            await self._keep_index(run, kind.index_every_s)
            logger.info("job succeeded", extra={"job_type": run.job.job_type, **run.figures()["timings"]})
        except LeaseLost:
            logger.info("job was taken away from this attempt", extra={"attempt": run.lease.attempt})
        except RaptorError as error:
            pause_s = pause_after(error, run.attempt, run.interruptions)
            if pause_s is None:
                logger.warning("job failed", extra={"error": error.as_json()})
                await self._failed(run, error)
            else:
                logger.warning("job will be tried again", extra={"error": error.as_json(), "pause_s": pause_s})
                await self._again(run, pause_s, interrupted=isinstance(error, INTERRUPTIONS))
        except Exception as error:
            # The boundary of a job: whatever a flow did not foresee is a defect, and the job says so.
            logger.exception("job failed on a defect")
            await self._failed(run, RaptorError(cause=type(error).__name__))

    def _opened(self, job_id: UUID, sealed: Mapping[str, bytes]) -> Keys:
        """What cannot be opened is left out: the model then says that its key is missing."""
        keys = {}
        for provider, secret in sealed.items():
            try:
                keys[provider] = self._secrets.open(secret, job_id.hex)
            except MissingProviderKey as error:
                logger.warning("a brought key cannot be read", extra={"provider": provider, "error": error.as_json()})
        return Keys(keys)

    async def _keep_index(self, run: JobRun, every_s: float) -> None:
        key, now = (run.tenant, run.job.dataset_id), time.monotonic()
        if now - self._index_kept.get(key, -every_s) < every_s:
            return
        self._index_kept[key] = now
        async with self._open(run.tenant) as work:
            dataset = await work.get_dataset(run.job.dataset_id)
        await self._keep_index_of(run.tenant, dataset)

    async def hand_back(self, tenant: TenantId, job_id: UUID) -> None:
        """This process stops: the job goes back to the queue, and on from its last commit."""
        async with self._open(tenant) as work:
            job = await work.get_job(job_id)
            if job.status == "running" and job.awaits_revision is None:
                await work.postpone_job(job_id, 0.0, interrupted=True)
                await work.commit()

    async def queue_up(self, tenant: TenantId, job_id: UUID, queue_job_id: int | None) -> None:
        """A job whose pause is over takes its place in the queue, unless it was hastened before."""
        async with self._open(tenant) as work:
            if await work.is_queued_as(job_id, queue_job_id):
                await work.postpone_job(job_id, 0.0)
                await work.commit()

    async def _again(self, run: JobRun, pause_s: float, *, interrupted: bool) -> None:
        """After a pause; the attempt that begins then counts unless this one was interrupted, so this ends."""
        async with self._open(run.tenant, run.lease) as work:
            await work.postpone_job(run.job.job_id, pause_s, interrupted=interrupted)
            await work.commit()

    async def _failed(self, run: JobRun, error: RaptorError) -> None:
        if isinstance(error, BudgetExceeded):
            # Calls that were under way when the limit was met came in after it.
            error.details |= run.context.meter.figures()
        # Whoever cancelled or deleted it meanwhile has ended it.
        with suppress(LeaseLost, DatasetNotFound):
            async with self._open(run.tenant, run.lease) as work:
                # First, as whoever cancels a job does: the two take rows of jobs in another order.
                await work.lock_dataset(run.job.dataset_id)
                await work.fail_job(run.lease, "failed", error.as_json(), run.figures())
                await work.fail_versions(run.job.job_id)
                if isinstance(error, MissingProviderKey) and run.job.job_type == "build":
                    await work.need_key(run.job.dataset_id)
                await work.commit()


def pause_after(error: RaptorError, attempt: int, interruptions: int = 0) -> float | None:
    """Seconds after which a job goes on by itself; None: it has failed. A provider that wants to be left alone for a
    while gets its pause without a worker that waits for it."""
    if isinstance(error, INTERRUPTIONS):
        longer = INTERRUPTION_PAUSE_S * 1.5 ** min(interruptions, 20)
        return min(longer, LONGEST_INTERRUPTION_S) if interruptions < MAX_INTERRUPTIONS else None
    asked = error.retry_after_s if isinstance(error, ProviderError) else None
    return asked if asked is not None and asked <= LONGEST_PAUSE_S and attempt < MAX_ATTEMPTS else None
