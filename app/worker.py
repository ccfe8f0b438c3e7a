"""A worker: runs jobs until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog

from app.container import open_worker
from app.settings import Settings
from infra.db.engine import libpq_url
from interfaces_adaptor.jobs.queue import QueueParams, job_queue, register, work

logger = structlog.get_logger("worker")

GRACE_S = 5.0


async def run_worker(settings: Settings, database_url: str, *, until_stdin_closes: bool = False) -> None:
    """Until SIGTERM or SIGINT: then running jobs get `RAPTOR_WORKER_SHUTDOWN_SECONDS` to end, and what has not ended
    goes back to the queue. A worker that another process started ends when the pipe to that process closes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        # Without its database a worker cannot say goodbye, and need not: all that it did is committed.
        loop.call_later(settings.worker.shutdown_seconds + GRACE_S, os._exit, 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if until_stdin_closes:
        pipe = sys.stdin.fileno()

        def read() -> None:
            if not os.read(pipe, 1):
                loop.remove_reader(pipe)
                end()

        loop.add_reader(pipe, read)
    async with open_worker(settings, database_url) as container:
        queue = job_queue(libpq_url(database_url))
        params = queue_params(settings)
        register(queue, container.runner, params, container.periodic, container.tasks)
        logger.info("worker started", concurrency=settings.worker.concurrency)
        await work(queue, params, stop)
        logger.info("worker stopped")


def queue_params(settings: Settings) -> QueueParams:
    return QueueParams(
        concurrency=settings.worker.concurrency,
        poll_s=settings.worker.poll_seconds,
        heartbeat_s=settings.worker.heartbeat_seconds,
        dead_after_s=settings.worker.dead_after_seconds,
        shutdown_s=settings.worker.shutdown_seconds,
    )
