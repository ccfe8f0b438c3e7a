"""Workers in processes of their own, that tests kill; and when workers have nothing left to do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def worker_process(
    database_url: str, *arguments: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`tests.e2e.dying_worker` with these arguments and settings; its standard output is a pipe."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAPTOR_")}
    quick = {
        "DATABASE_URL": database_url,
        "RAPTOR_WORKER_PROCESSES": "1",
        "RAPTOR_WORKER_POLL_SECONDS": "0.05",
        "RAPTOR_TREE_GROUPER": "contiguous",
        "RAPTOR_LOG_LEVEL": "WARNING",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.e2e.dying_worker",
        *arguments,
        env=inherited | quick | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.communicate(), 20)
            except TimeoutError:
                process.kill()
        await process.communicate()


async def give_up_dead_workers(database_url: str) -> None:
    """No worker is alive any more: their heartbeats and the leases of their calls are made old, so that the next worker
    need not wait until they are.

    A limit that is short enough to wait for is one that a living worker on a busy machine does not keep: it is then
    taken for dead, and its calls are made, and paid, once more beside it.
    """
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
        await connection.execute("update provider_calls set expires_at = now() where finished_at is null")
    finally:
        await connection.close()


async def until_idle(database_url: str, seconds: float = 60) -> None:
    """Until the queue has no row any more: every attempt has ended, to its last commit."""
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(seconds):
            while await connection.fetchval("select exists (select from procrastinate_jobs)"):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()
