"""A worker that kills itself at a named point: `before:` or `after:` a commit, named by what the commit writes.

Run as a program: `python -m tests.e2e.dying_worker POINT`, with the environment of a worker. Without a point it says on
standard output which points it passes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.container import open_worker
from app.logging import configure_logging
from app.settings import load_settings
from app.worker import queue_params
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from infra.uow.sql import Repositories, SqlUnitOfWork
from interfaces_adaptor.jobs.queue import job_queue, register, work
from interfaces_adaptor.repositories import repositories_for
from services.domain import Lease, TenantId
from services.store import OpenUnitOfWork, UnitOfWork

# Methods that change something; a commit is named by the last of them that ran in its unit of work.
WRITES = {
    "add_chunks",
    "reuse",
    "add",
    "mark_embedded",
    "await_tree",
    "request_build",
    "claim",
    "begin",
    "plan_level",
    "write_level",
    "publish",
    "clear_away",
    "succeed",
}
UNNAMED = {"postings"}  # written with the texts that they are of


class Recorded:
    """A repository that notes the writing methods that are called on it."""

    def __init__(self, inner: Any, name: str, note: Callable[[str], None]) -> None:
        self._inner, self._name, self._note = inner, name, note

    def __getattr__(self, method: str) -> Any:
        if method in WRITES:
            self._note(f"{self._name}.{method}")
        return getattr(self._inner, method)


class DyingUnitOfWork(SqlUnitOfWork):
    def __init__(
        self, engine: AsyncEngine, point: str | None, tenant: TenantId, lease: Lease | None, snapshot: bool
    ) -> None:
        self._written: list[str] = []
        self._point = point
        super().__init__(engine, self._bind_recorded, tenant, lease, snapshot=snapshot)

    def _bind_recorded(self, connection: AsyncConnection, tenant: TenantId) -> Repositories:
        bound = repositories_for(connection, tenant)
        names = [field.name for field in fields(Repositories) if field.name not in UNNAMED]
        return replace(bound, **{name: Recorded(getattr(bound, name), name, self._written.append) for name in names})

    async def commit(self) -> None:
        name = self._written[-1] if self._written else ""
        self._pass(f"before:{name}")
        await super().commit()
        self._pass(f"after:{name}")

    def _pass(self, point: str) -> None:
        if self._point is None:
            print(point, flush=True)
        elif point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(point: str | None) -> None:
    settings = load_settings()
    configure_logging(settings.log, "dying-worker")
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()

    def units_on(engine: AsyncEngine) -> OpenUnitOfWork:
        def opened(tenant: TenantId, lease: Lease | None = None, *, snapshot: bool = False) -> UnitOfWork:
            return DyingUnitOfWork(engine, point, tenant, lease, snapshot)

        return opened

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # Not warmed: the grouper of these tests needs no compiled code.
    pool = ProcessPool(processes=1)
    try:
        async with open_worker(settings, url, pool=pool, units_on=units_on) as worker:
            queue = job_queue(libpq_url(url))
            register(queue, worker.runner)
            await work(queue, queue_params(settings), stop)
    finally:
        pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
