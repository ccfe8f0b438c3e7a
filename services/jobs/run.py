"""How a job is run: claimed, fenced by its attempt, reported on, and ended in one of three ways.

Every write of a flow goes through a unit of work that was opened for the job's lease. When a job is cancelled, or
taken over because its worker was thought dead, the lease is no longer current and the next commit raises LeaseLost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol
from uuid import UUID

from services.cost.budget import (
    Budget,
    CallContext,
    Keys,
    Meter,
)
from services.cost.usage import Usage
from services.domain import Dataset, JsonObject, TenantId
from services.errors import (
    AttemptsExhausted,
    BudgetExceeded,
    ConcurrentChange,
    DatabaseUnavailable,
    LeaseLost,
    MissingProviderKey,
    ProviderError,
    RaptorError,
)
from services.jobs.job import Job, JobStatus, JobType, Lease
from services.jobs.limits import JobLimits
from services.jobs.secrets import SecretBox
from services.storage import OpenStorage, UnitOfWork

logger = logging.getLogger(__name__)

# A job that ends its worker this often is not tried again: it would go round for ever.
MAX_ATTEMPTS = 5
# A provider that asks for a longer pause ends the job, which then says so.
LONGEST_PAUSE_S = 3600.0
REPORT_INTERVAL_S = 0.25
INDEX_INTERVAL_S = 60.0

Flow = Callable[["JobRun"], Awaitable[None]]
# Seconds that a job should still wait before it begins.
Delay = Callable[[TenantId, Job], Awaitable[float]]
# Gives the dataset the index that its size asks for. It may take minutes, and nobody waits for it.
KeepIndex = Callable[[TenantId, Dataset], Awaitable[None]]


class RunStorage(UnitOfWork, Protocol):
    """What running a job asks of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
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

    async def postpone_job(self, job_id: UUID, delay_s: float) -> None: ...

    async def report_job(self, lease: Lease, stage: str, progress: float, figures: JsonObject) -> None: ...

    async def fail_job(self, lease: Lease, status: JobStatus, error: JsonObject, figures: JsonObject) -> None:
        """The job has failed, and with a build the uploads that waited for it."""
        ...

    async def fail_version(self, version_id: UUID) -> None:
        """A version that was never embedded has failed; one that was stays as it is."""
        ...


class JobRun:
    """One attempt at a job: who it is for, what it used so far, and the way to say how far it is."""

    def __init__(
        self,
        open_storage: OpenStorage[RunStorage],
        tenant: TenantId,
        job: Job,
        lease: Lease,
        keys: Keys,
        budget: Budget,
    ) -> None:
        limits = JobLimits.of(job.params)
        self.tenant = tenant
        self.job = job
        self.lease = lease
        self.context = CallContext(
            tenant=tenant,
            dataset_id=job.dataset_id,
            job_id=job.job_id,
            keys=keys,
            meter=Meter(budget.stricter(limits.budget), used=Usage(**job.usage), before=limits.spent),
        )
        self.timings: dict[str, float] = dict(job.timings)
        self.detail: dict[str, Any] = {}
        self._open = open_storage
        self._started = time.monotonic()
        self._stage = ""
        self._reported = 0.0

    @contextmanager
    def timed(self, name: str, within: str | None = None) -> Iterator[None]:
        """`within` names what is being timed around it, so that nothing is counted twice."""
        started = time.monotonic()
        try:
            yield
        finally:
            taken = time.monotonic() - started
            self.timings[name] = self.timings.get(name, 0.0) + taken
            if within is not None:
                self.timings[within] = self.timings.get(within, 0.0) - taken

    def figures(self) -> dict[str, Any]:
        provider_s = sum(map(sum, self.context.meter.latencies_s.values()))
        timings = self.timings | {"provider_s": provider_s, "wall_s": time.monotonic() - self._started}
        return {
            "usage": asdict(self.context.meter.used),
            "timings": {name: round(seconds, 4) for name, seconds in timings.items()},
            "detail": self.detail,
        }

    def limits(self) -> JsonObject:
        """For a job that continues this one: its budget is that of both, and what was used of it counts."""
        return JobLimits(JobLimits.of(self.job.params).budget, self.context.meter.spent).as_params()

    async def report(self, stage: str, progress: float, **detail: Any) -> None:
        """Raises LeaseLost. Called as often as one likes; a new stage is written at once, the rest a few times a
        second."""
        self.detail = detail
        now = time.monotonic()
        if stage == self._stage and now - self._reported < REPORT_INTERVAL_S:
            return
        self._stage, self._reported = stage, now
        async with self._open(self.tenant, self.lease) as work:
            await work.report_job(self.lease, stage, min(max(progress, 0.0), 1.0), self.figures())
            await work.commit()


class JobRunner:
    """Runs one job from its queue row to its end. Nothing that happens inside leaves a job without a state."""

    def __init__(
        self,
        open_storage: OpenStorage[RunStorage],
        flows: Mapping[JobType, Flow],
        delays: Mapping[JobType, Delay],
        keep_index: KeepIndex,
        secrets: SecretBox,
        budget: Budget = Budget(),
    ) -> None:
        """`budget` bounds every job; a job's own may be lower."""
        self._open = open_storage
        self._flows = flows
        self._delays = delays
        self._keep_index_of = keep_index
        self._secrets = secrets
        self._budget = budget
        self._index_kept: dict[tuple[TenantId, str], float] = {}

    async def run(self, tenant: TenantId, job_id: UUID) -> None:
        async with self._open(tenant) as work:
            job = await work.get_job(job_id)
        if job.status == "queued" and job.job_type in self._delays:
            delay_s = await self._delays[job.job_type](tenant, job)
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
            if run.lease.attempt > MAX_ATTEMPTS:
                raise AttemptsExhausted(attempts=run.lease.attempt - 1)
            await self._flows[run.job.job_type](run)
            await self._keep_index(run)
            logger.info("job succeeded", extra={"job_type": run.job.job_type, **run.figures()["timings"]})
        except LeaseLost:
            logger.info("job was taken away from this attempt", extra={"attempt": run.lease.attempt})
        except RaptorError as error:
            pause_s = pause_after(error, run.lease.attempt)
            if pause_s is None:
                logger.warning("job failed", extra={"error": error.as_json()})
                await self._failed(run, error)
            else:
                logger.warning("job will be tried again", extra={"error": error.as_json(), "pause_s": pause_s})
                await self._again(run, pause_s)
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

    async def _keep_index(self, run: JobRun) -> None:
        """After a build always; after uploads without a tree now and then: counting a dataset's vectors after each
        of ten thousand uploads would cost more than all of them."""
        key, now = (run.tenant, run.job.dataset_id), time.monotonic()
        if run.job.job_type == "ingest" and now - self._index_kept.get(key, -INDEX_INTERVAL_S) < INDEX_INTERVAL_S:
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
                await work.postpone_job(job_id, 0.0)
                await work.commit()

    async def _again(self, run: JobRun, pause_s: float) -> None:
        """After a pause; the attempt that begins then counts, so this ends."""
        async with self._open(run.tenant, run.lease) as work:
            await work.postpone_job(run.job.job_id, pause_s)
            await work.commit()

    async def _failed(self, run: JobRun, error: RaptorError) -> None:
        if isinstance(error, BudgetExceeded):
            # Calls that were under way when the limit was met came in after it.
            error.details |= run.context.meter.figures()
        async with self._open(run.tenant, run.lease) as work:
            await work.fail_job(run.lease, "failed", error.as_json(), run.figures())
            if run.job.version_id is not None:
                await work.fail_version(run.job.version_id)
            await work.commit()


def pause_after(error: RaptorError, attempt: int) -> float | None:
    """Seconds after which a job goes on by itself; None: it has failed. A provider that wants to be left alone for a
    while gets its pause without a worker that waits for it."""
    if isinstance(error, DatabaseUnavailable | ConcurrentChange):
        return min(2.0**attempt, 60.0)
    asked = error.retry_after_s if isinstance(error, ProviderError) else None
    return asked if asked is not None and asked <= LONGEST_PAUSE_S and attempt < MAX_ATTEMPTS else None
