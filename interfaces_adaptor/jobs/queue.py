"""The queue: procrastinate over the same Postgres, with one task that runs a domain job, and periodic ones beside it.

Jobs are deferred by `interfaces_adaptor/repositories/jobs.py`, in the transaction of the work they stand for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
import structlog
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.job_context import AbortReason

from constants.queue import QUEUE, RESCUE_JOBS, RUN_JOB
from services.domain import TenantId
from services.errors import ConcurrentChange, DatabaseUnavailable
from services.jobs.runner import JobRunner

logger = logging.getLogger(__name__)

RETRY_PAUSE_S = 5.0
# Periodic work takes milliseconds, and the next place that is free: before a job that waits, after the builds that run.
FIRST = 100
# A tick that passed while no worker ran is made up for so long: an hourly one by any worker that is on.
CAUGHT_UP_S = 3600


@dataclass(frozen=True, slots=True)
class QueueParams:
    """Times in seconds. A worker that has sent no heartbeat for `dead_after_s` is taken for dead; jobs that still run
    `shutdown_s` after a stop was asked for are handed back."""

    concurrency: int
    poll_s: float
    heartbeat_s: float
    dead_after_s: float
    shutdown_s: float


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """What one of all workers does at each time that `cron` names (five fields, or six with seconds as the last)."""

    name: str
    cron: str
    do: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """Work on one item of a tenant's that statements put into the queue by name, besides jobs."""

    name: str
    do: Callable[[TenantId, UUID], Awaitable[object]]


def job_queue(database_url: str) -> App:
    """The queue as procrastinate knows it, not opened yet. `database_url` is one for libpq."""
    connector = PsycopgConnector(conninfo=database_url, min_size=1, max_size=4)
    return App(connector=connector, periodic_defaults={"max_delay": CAUGHT_UP_S})


def register(
    app: App,
    runner: JobRunner,
    params: QueueParams,
    periodic: Sequence[PeriodicTask] = (),
    tasks: Sequence[QueuedTask] = (),
) -> None:
    @app.task(name=RUN_JOB, queue=QUEUE, pass_context=True)
    async def run_job(context: JobContext, tenant_id: str, job_id: str) -> None:
        tenant, job = TenantId(tenant_id), UUID(job_id)
        while True:
            try:
                with structlog.contextvars.bound_contextvars(job_id=job.hex, tenant=tenant):
                    if context.job.lock:
                        await runner.run(tenant, job)
                    else:
                        # A row that waited for its time has no lock: now it is put in line behind its like.
                        await runner.queue_up(tenant, job, context.job.id)
                return
            except (DatabaseUnavailable, ConcurrentChange) as error:
                # Nothing could be written, not even that it failed. Meanwhile the row stays ours: should this worker
                # lose its database for good, its heartbeat stops and another takes the job over.
                logger.warning("nothing could be written, job waits", extra={"job_id": job_id, "error": error.code})
                await asyncio.sleep(RETRY_PAUSE_S)
            except asyncio.CancelledError:
                if context.abort_reason() is AbortReason.SHUTDOWN:
                    await runner.hand_back(tenant, job)
                raise

    every_s = max(1, round(params.heartbeat_s))
    rescuing = PeriodicTask(RESCUE_JOBS, f"* * * * * */{every_s}", lambda: rescue(app, params.dead_after_s))
    for task in (rescuing, *periodic):
        _register_periodic(app, task)
    for queued in tasks:
        _register_task(app, queued)


def _register_task(app: App, task: QueuedTask) -> None:
    @app.task(name=task.name, queue=QUEUE)
    async def run(tenant_id: str, item_id: str) -> None:
        while True:
            try:
                await task.do(TenantId(tenant_id), UUID(item_id))
                return
            except DatabaseUnavailable:
                # As with jobs: meanwhile the row stays ours.
                await asyncio.sleep(RETRY_PAUSE_S)


def _register_periodic(app: App, task: PeriodicTask) -> None:
    # Of the ticks that a machine slept through, one waits at most.
    @app.periodic(cron=task.cron, queueing_lock=task.name)
    @app.task(name=task.name, queue=QUEUE, priority=FIRST)
    async def run(timestamp: int) -> None:
        done = await task.do()
        if done:
            logger.info("maintenance done", extra={"task": task.name, "done": done})


async def work(app: App, params: QueueParams, stop: asyncio.Event) -> None:
    """Runs jobs and periodic tasks until `stop` is set. A worker that loses its database ends itself; this starts the
    next one."""
    while not stop.is_set():
        try:
            # Not cancelled before it is open: of a connection pool that was, tasks stay behind, and now and then a
            # worker that was told to stop a tenth of a second after its start waited for ever.
            async with app.open_async():
                await _run_worker(app, params, stop)
        except (ConnectorException, psycopg.Error, OSError) as error:
            logger.warning("worker lost its database", extra={"error": str(error)})
        if not stop.is_set():
            await asyncio.sleep(1.0)


async def _run_worker(app: App, params: QueueParams, stop: asyncio.Event) -> None:
    """Until it is told to stop, or ends with its database's errors."""
    worker = app.run_worker_async(
        queues=[QUEUE],
        concurrency=params.concurrency,
        fetch_job_polling_interval=params.poll_s,
        abort_job_polling_interval=params.poll_s,
        update_heartbeat_interval=params.heartbeat_s,
        stalled_worker_timeout=params.dead_after_s,
        shutdown_graceful_timeout=params.shutdown_s,
        delete_jobs="always",
        install_signal_handlers=False,
    )
    tasks = [asyncio.create_task(worker), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def rescue(app: App, dead_after_s: float) -> int:
    """Gives the jobs of dead workers back to the queue; how many that were. Two that do this at once lose nothing,
    because a row is taken back once."""
    manager = app.job_manager
    await manager.prune_stalled_workers(dead_after_s)
    rescued = 0
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=dead_after_s):
        try:
            await manager.retry_job(job)
            rescued += 1
        except ConnectorException:
            logger.info("a stalled job was taken back by another worker", extra={"queue_job_id": job.id})
    return rescued
