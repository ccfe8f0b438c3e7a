"""What tests stand on: a real Postgres with a database of its own for each test, the real API and worker in this
process, a process pool that all share.

Tests that begin with the same documents are marked `filled_with(put=…)`: the function fills a service once, and each of
these tests has a copy of its database. Only a test that changes something needs a worker (`running`) then."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from threadpoolctl import threadpool_limits

from app.container import Container, open_container, open_worker
from app.main import create_app
from app.resources import migrations_folder
from app.settings import Settings, load_settings
from app.worker import queue_params
from embedded_postgres.server import EmbeddedPostgres
from fake_provider import RunningFakeProvider, running_fake_provider
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from infra.db.migrate import Migrations, migrate
from interfaces_adaptor.jobs.queue import job_queue, register, work
from services.domain import DEFAULT_TENANT, TenantId
from tests.adapters.embedded_postgres import closed_folder, roomy_memory
from tests.client import ApiClient

Fill = Callable[[ApiClient], Awaitable[None]]


NEED_SERVICE = ("adapters", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks with `service` what stands on a database: all that has to do with the fixture `server`, and the folders
    whose tests start programs of their own. `make test-fast` leaves them out."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in NEED_SERVICE or "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.service)


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_process() -> Iterator[None]:
    """As the process pool does it: several BLAS threads on small matrices wait for each other, 40 times as long."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Where the embedded server has its files: in memory where there is room, as databases are copied for each test."""
    with closed_folder() as folder:
        yield folder


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
    """A database with the schema."""
    name = f"template_{uuid.uuid4().hex[:8]}"
    run_sql(server, f"create database {name}")
    asyncio.run(migrate(named(server, name), Migrations(migrations_folder())))
    return name


@pytest.fixture(scope="session")
def filled(
    server: str, template: str, pool: ProcessPool, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Fill], str]:
    """Makes a database of what a function puts into a service, once for all tests that begin with it."""
    made: dict[Fill, str] = {}

    def of(fill: Fill) -> str:
        if fill not in made:
            name = copied(server, template)
            folder = tmp_path_factory.mktemp("filled")
            with pytest.MonkeyPatch.context() as patch:
                asyncio.run(fill_database(fill, quick_settings(folder, patch), named(server, name), pool))
            made[fill] = name
        return made[fill]

    return of


async def fill_database(fill: Fill, settings: Settings, database_url: str, pool: ProcessPool) -> None:
    async with (
        open_container(settings, database_url) as container,
        running_worker(settings, database_url, pool),
        api_client(container) as client,
    ):
        await fill(client)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, server: str) -> Iterator[str]:
    """A database of the test's own: an empty one, or a copy of what `filled_with` names."""
    marker = request.node.get_closest_marker("filled_with")
    template = (
        request.getfixturevalue("filled")(marker.kwargs["put"]) if marker else request.getfixturevalue("template")
    )
    name = copied(server, template)
    yield named(server, name)
    run_sql(server, f"drop database {name} with (force)")


def copied(server: str, template: str) -> str:
    """A new database with what the template holds; its name. Copying files makes two checkpoints, which take 10 ms in
    memory, half of what copying through the log takes, and up to a second on a disk."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    strategy = "file_copy" if roomy_memory() else "wal_log"
    run_sql(server, f"create database {name} template {template} strategy {strategy}")
    return name


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


@pytest.fixture(scope="session")
def served() -> Iterator[RunningFakeProvider]:
    with running_fake_provider() as provider:
        yield provider


@pytest.fixture
def provider(served: RunningFakeProvider) -> RunningFakeProvider:
    """The fake provider, as new for each test."""
    served.reset()
    return served


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return quick_settings(tmp_path, monkeypatch)


def quick_settings(folder: Path, patch: pytest.MonkeyPatch) -> Settings:
    """The defaults, with short waits; nothing of the developer's own environment or .env."""
    for name in os.environ:
        if name.startswith("RAPTOR_") or name in ("DATABASE_URL", "MAX_UPLOAD_BYTES"):
            patch.delenv(name)
    patch.chdir(folder)
    defaults = load_settings()
    return defaults.model_copy(
        update={
            "data_dir": folder / "data",
            # A test that brings a key would otherwise pay for refinement as well.
            "chunk": defaults.chunk.model_copy(update={"refine": "off"}),
            # Groups without numerical libraries, which each process would have to load.
            "tree": defaults.tree.model_copy(update={"grouper": "contiguous", "debounce_max_seconds": 2.0}),
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
    transport = httpx2.ASGITransport(create_app(container), raise_app_exceptions=False, client=("127.0.0.1", 50000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers, timeout=100
    ) as http:
        yield ApiClient(http)


@asynccontextmanager
async def running_worker(
    settings: Settings, database_url: str, pool: ProcessPool, **options: Any
) -> AsyncIterator[None]:
    async with open_worker(settings, database_url, pool=pool, **options) as worker:
        queue = job_queue(libpq_url(database_url))
        params = queue_params(settings)
        register(queue, worker.runner, params, worker.periodic, worker.tasks)
        stop = asyncio.Event()
        working = asyncio.create_task(work(queue, params, stop))
        try:
            yield
        finally:
            stop.set()
            await working


@pytest.fixture
def tenant() -> TenantId:
    return DEFAULT_TENANT
