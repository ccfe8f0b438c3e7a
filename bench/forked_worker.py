"""A worker for `python -m bench.faults`, started in milliseconds: every line on standard input forks another from this
process, which has everything imported, and its process id is printed.

It computes in its own thread: with documents this small a pool of processes would cost more than it does.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, cast

from app.container import open_worker
from app.logging import configure_logging
from app.settings import load_settings
from app.worker import queue_params
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from interfaces_adaptor.jobs.queue import job_queue, register, work


class Inline:
    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    async def warm(self) -> None:
        pass

    def close(self) -> None:
        pass


async def run() -> None:
    settings = load_settings()
    configure_logging(settings.log, "forked-worker")
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_worker(settings, url, pool=cast(ProcessPool, Inline())) as worker:
        queue = job_queue(libpq_url(url))
        params = queue_params(settings)
        register(queue, worker.runner, params)
        await work(queue, params, stop)


def main() -> None:
    for name in ("infra.embeddings.voyage", "services.clustering.headings"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(run())
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
