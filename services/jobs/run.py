"""One attempt at a job, as its flow sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from services.cost.budget import Budget, CallContext, Keys, Meter
from services.cost.usage import Usage
from services.domain import JsonObject, TenantId
from services.jobs.job import Job, Lease
from services.jobs.limits import JobLimits
from services.storage import OpenStorage, UnitOfWork

REPORT_INTERVAL_S = 0.25


class ReportStorage(UnitOfWork, Protocol):
    async def report_job(self, lease: Lease, stage: str, progress: float, figures: JsonObject) -> None: ...


class JobRun:
    """One attempt at a job: who it is for, what it used so far, and the way to say how far it is."""

    def __init__(
        self,
        open_storage: OpenStorage[ReportStorage],
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
        # Attempts that ended for no fault of the job: deletions while it ran, a lost database.
        self.interruptions = int(job.params.get("interruptions", 0))
        self.attempt = lease.attempt - self.interruptions
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
