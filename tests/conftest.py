"""What tests stand on: a real Postgres with a database of its own for each test, the real API and worker in this
process, a process pool that all share."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from threadpoolctl import threadpool_limits

from app.container import Container, open_container, open_worker
from app.main import create_app
from app.resources import migrations_folder
from app.settings import Settings, load_settings
from app.worker import queue_params
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from infra.db.migrate import Migrations, migrate
from infra.postgres.server import EmbeddedPostgres
from interfaces_adaptor.jobs.queue import job_queue, register, work
from services.domain import DEFAULT_TENANT, TenantId
from tests.client import ApiClient

TEMPLATE = "raptor_template"


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_process() -> Iterator[None]:
    """As the process pool does it: several BLAS threads on small matrices wait for each other, 40 times as long."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the embedded server has its files."""
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[str]:
    """The URL of a Postgres server, without a database: RAPTOR_TEST_SERVER if it is set, else an embedded one."""
    given = os.environ.get("RAPTOR_TEST_SERVER")
    if given:
        yield given
        return
    with EmbeddedPostgres(server_folder, shared_buffers="64MB", maintenance_work_mem="64MB") as at:
        yield at.url


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """A database with the schema, which each test's is copied from."""
    name = f"{TEMPLATE}_{uuid.uuid4().hex[:8]}"
    run_sql(server, f"create database {name}")
    asyncio.run(migrate(named(server, name), Migrations(migrations_folder())))
    return name


@pytest.fixture
def database_url(server: str, template: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    # `file_copy` would make two checkpoints a test: 0.9 s instead of 0.2 s.
    run_sql(server, f"create database {name} template {template} strategy wal_log")
    yield named(server, name)
    run_sql(server, f"drop database {name} with (force)")


def run_sql(server: str, statement: str) -> None:
    with psycopg.connect(libpq_url(named(server, "postgres")), autocommit=True) as connection:
        connection.execute(statement)


def named(server: str, database: str) -> str:
    """The URL of another database of the same server."""
    head, _, options = server.partition("?")
    base = head.rpartition("/")[0]
    return f"{base}/{database}" + (f"?{options}" if options else "")


@pytest.fixture(scope="session")
def pool() -> Iterator[ProcessPool]:
    shared = ProcessPool(processes=2)
    yield shared
    shared.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The defaults, with short waits; nothing of the developer's own environment or .env."""
    for name in os.environ:
        if name.startswith("RAPTOR_") or name in ("DATABASE_URL", "MAX_UPLOAD_BYTES"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    defaults = load_settings()
    return defaults.model_copy(
        update={
            "data_dir": tmp_path / "data",
            # A test that brings a key would otherwise pay for refinement as well.
            "chunk": defaults.chunk.model_copy(update={"refine": "off"}),
            "tree": defaults.tree.model_copy(update={"debounce_seconds": 0.2, "debounce_max_seconds": 2.0}),
            "worker": defaults.worker.model_copy(
                update={
                    "poll_seconds": 0.05,
                    "heartbeat_seconds": 0.3,
                    "dead_after_seconds": 30.0,
                    "shutdown_seconds": 1.0,
                }
            ),
            "log": defaults.log.model_copy(update={"folder": None}),
        }
    )


@pytest.fixture
async def container(settings: Settings, database_url: str) -> AsyncIterator[Container]:
    async with open_container(settings, database_url) as opened:
        yield opened


@pytest.fixture
async def api(container: Container) -> AsyncIterator[ApiClient]:
    """The API without a worker: jobs stay in the queue."""
    async with api_client(container) as client:
        yield client


@pytest.fixture
async def running(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[None]:
    """A worker that runs the queue's jobs while the test goes on."""
    async with running_worker(settings, database_url, pool):
        yield


@asynccontextmanager
async def api_client(container: Container, **headers: str) -> AsyncIterator[ApiClient]:
    transport = httpx.ASGITransport(create_app(container), raise_app_exceptions=False, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers, timeout=100
    ) as http:
        yield ApiClient(http)


@asynccontextmanager
async def running_worker(
    settings: Settings, database_url: str, pool: ProcessPool, **options: Any
) -> AsyncIterator[None]:
    async with open_worker(settings, database_url, pool=pool, **options) as worker:
        queue = job_queue(libpq_url(database_url))
        register(queue, worker.runner)
        stop = asyncio.Event()
        working = asyncio.create_task(work(queue, queue_params(settings), stop, worker.chores))
        try:
            yield
        finally:
            stop.set()
            await working


@pytest.fixture
def tenant() -> TenantId:
    return DEFAULT_TENANT
