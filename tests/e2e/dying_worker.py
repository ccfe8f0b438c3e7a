"""A worker that kills itself at a named point: `before:` or `after:` a commit, named by what the commit writes.

Run as a program: `python -m tests.e2e.dying_worker POINT`, with the environment of a worker. Without a point it says on
standard output which points it passes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from app.container import open_worker
from app.logging import configure_logging
from app.settings import load_settings
from app.worker import queue_params
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from interfaces_adaptor.jobs.queue import job_queue, register, work
from interfaces_adaptor.repositories import Storage

# Methods that change something; a commit is named by the last of them that ran in its unit of work. Postings are
# written with the texts that they are of.
WRITES = {
    "add_chunks",
    "reuse_vectors",
    "add_vectors",
    "mark_embedded",
    "await_tree",
    "request_build",
    "claim_job",
    "begin_tree",
    "plan_level",
    "write_level",
    "publish_tree",
    "expire_generations",
    "remove_superseded_tree",
    "remove_superseded_versions",
    "succeed_job",
}


def dying_at(point: str | None) -> type[Storage]:
    class DyingStorage(Storage):
        last_write = ""

        def __getattribute__(self, name: str) -> Any:
            if name in WRITES:
                self.last_write = name
            return super().__getattribute__(name)

        async def commit(self) -> None:
            reach(f"before:{self.last_write}")
            await super().commit()
            reach(f"after:{self.last_write}")

    def reach(here: str) -> None:
        if point is None:
            print(here, flush=True)
        elif point == here:
            os.kill(os.getpid(), signal.SIGKILL)

    return DyingStorage


async def main(point: str | None) -> None:
    settings = load_settings()
    configure_logging(settings.log, "dying-worker")
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # Not warmed: the grouper of these tests needs no compiled code.
    pool = ProcessPool(processes=1)
    try:
        async with open_worker(settings, url, pool=pool, storage_class=dying_at(point)) as worker:
            queue = job_queue(libpq_url(url))
            params = queue_params(settings)
            register(queue, worker.runner, params)
            await work(queue, params, stop)
    finally:
        pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
