"""The queue: procrastinate over the same Postgres, with one task that runs a domain job.

Rows are added by `interfaces_adaptor/repositories/jobs.py`, in the transaction of the work they stand for.
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

from services.domain import TenantId
from services.errors import DatabaseUnavailable
from services.jobs.runner import JobRunner

logger = logging.getLogger(__name__)

QUEUE = "raptor"
TASK = "raptor.run_job"
RETRY_PAUSE_S = 5.0


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
class Chore:
    """What every worker does at its start and every so often: it has to bear being done by several at once."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]


def job_queue(database_url: str) -> App:
    """The queue as procrastinate knows it, not opened yet. `database_url` is one for libpq."""
    connector = PsycopgConnector(conninfo=database_url, min_size=1, max_size=4)
    return App(connector=connector)


def register(app: App, runner: JobRunner) -> None:
    @app.task(name=TASK, queue=QUEUE, pass_context=True)
    async def run_job(context: JobContext, tenant_id: str, job_id: str) -> None:
        tenant, job = TenantId(tenant_id), UUID(job_id)
        while True:
            try:
                with structlog.contextvars.bound_contextvars(job_id=job.hex, tenant=tenant):
                    await runner.run(tenant, job)
                return
            except DatabaseUnavailable:
                # Nothing could be written, not even that it failed. Meanwhile the row stays ours: should this worker
                # lose its database for good, its heartbeat stops and another takes the job over.
                logger.warning("database does not answer, job waits", extra={"job_id": job_id})
                await asyncio.sleep(RETRY_PAUSE_S)
            except asyncio.CancelledError:
                if context.abort_reason() is AbortReason.SHUTDOWN:
                    await runner.hand_back(tenant, job)
                raise


async def work(app: App, params: QueueParams, stop: asyncio.Event, chores: Sequence[Chore] = ()) -> None:
    """Runs jobs, and chores beside them, until `stop` is set. A worker that loses its database ends itself; this starts
    the next one."""
    repeated = [asyncio.create_task(_repeat(chore)) for chore in chores]
    try:
        await _work(app, params, stop)
    finally:
        for task in repeated:
            task.cancel()
        await asyncio.gather(*repeated, return_exceptions=True)


async def _repeat(chore: Chore) -> None:
    while True:
        try:
            done = await chore.do()
            logger.info("chore done", extra={"chore": chore.name, "done": done})
        except Exception:
            # The boundary of a chore: it has its next turn, and jobs go on meanwhile.
            logger.exception("chore failed", extra={"chore": chore.name})
        await asyncio.sleep(chore.every_s)


async def _work(app: App, params: QueueParams, stop: asyncio.Event) -> None:
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
    worker = asyncio.create_task(
        app.run_worker_async(
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
    )
    tasks = [worker, asyncio.create_task(_rescue_for_ever(app, params)), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def _rescue_for_ever(app: App, params: QueueParams) -> None:
    while True:
        await asyncio.sleep(params.heartbeat_s)
        await rescue(app, params.dead_after_s)


async def rescue(app: App, dead_after_s: float) -> int:
    """Gives the jobs of dead workers back to the queue; how many that were. Every worker does this now and then: one
    that finds another at it loses nothing, because a row is taken back once."""
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
