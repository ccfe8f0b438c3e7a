"""Which database a command works on: the one that DATABASE_URL names, or the embedded one in the data folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.resources import migrations_folder
from app.settings import Settings
from infra.db.migrate import Migrations, migrate
from infra.postgres.address import running_address
from infra.postgres.server import EmbeddedPostgres


class NoDatabase(Exception):
    """There is no database to work on; the message says how to get one."""


@contextmanager
def owned_database(settings: Settings) -> Iterator[str]:
    """For the process that serves: starts the embedded server unless DATABASE_URL takes its place, and brings the
    schema up to date. Raises EmbeddedPostgresError, UnsuitableDatabase."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        asyncio.run(migrate(url, Migrations(migrations_folder())))
        yield url
        return
    server = EmbeddedPostgres(
        settings.data_dir,
        shared_buffers=settings.database.shared_buffers,
        maintenance_work_mem=settings.database.maintenance_work_mem,
    )
    with server as address:
        asyncio.run(migrate(address.url, Migrations(migrations_folder())))
        yield address.url


@contextmanager
def joined_database(settings: Settings) -> Iterator[str]:
    """For a command beside the service: the database it uses; the embedded one is started for the command's time if
    nobody runs it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    address = running_address(settings.data_dir)
    if address is not None:
        yield address.url
        return
    with owned_database(settings) as url:
        yield url


def shared_database(settings: Settings) -> str:
    """For `raptor api` and `raptor worker`, which run beside others. Raises NoDatabase."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    address = running_address(settings.data_dir)
    if address is None:
        raise NoDatabase(
            "There is no database: set DATABASE_URL to the Postgres that all processes share, or run `raptor serve`,"
            " which brings its own."
        )
    return address.url
