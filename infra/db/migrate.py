"""Bringing a database to the schema of this version, and asking which version it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from infra.db.engine import asyncpg_url
from infra.db.queue_schema import apply_queue_schema

# Several processes may start on one database at the same moment: the first migrates, the others wait here.
MIGRATION_LOCK = 7_274_801_335
OLDEST_POSTGRES = 15  # foreign keys that set one column of several to null
OLDEST_PGVECTOR = (0, 8)  # iterative scans: as many rows as match come back


class UnsuitableDatabase(Exception):
    """This database cannot hold the service; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions in the folder `scripts`."""

    scripts: Path

    @property
    def head(self) -> str | None:
        return ScriptDirectory.from_config(self._config()).get_current_head()

    def upgrade(self, connection: Connection, revision: str = "head") -> None:
        command.upgrade(self._config(connection), revision)

    def downgrade(self, connection: Connection, revision: str) -> None:
        command.downgrade(self._config(connection), revision)

    def _config(self, connection: Connection | None = None) -> Config:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(self.scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config


async def migrate(url: str, migrations: Migrations) -> None:
    """Brings the database at `url` to the newest revision. Raises UnsuitableDatabase."""
    engine = create_async_engine(asyncpg_url(url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("select pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.commit()
            try:
                await check_server(connection)
                await connection.execute(text("create extension if not exists vector"))
                await apply_queue_schema(connection)
                await connection.commit()
                await connection.run_sync(migrations.upgrade)
                await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("select pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
                await connection.commit()
    finally:
        await engine.dispose()


async def check_server(connection: AsyncConnection) -> None:
    version = int(await connection.scalar(text("show server_version_num")) or 0) // 10_000
    if version < OLDEST_POSTGRES:
        raise UnsuitableDatabase(f"This is Postgres {version}; the service needs {OLDEST_POSTGRES} or newer.")
    vector = await connection.scalar(
        text(
            "select coalesce((select extversion from pg_extension where extname = 'vector'),"
            " (select default_version from pg_available_extensions where name = 'vector'))"
        )
    )
    if vector is None:
        raise UnsuitableDatabase("The extension pgvector is not installed on this Postgres server.")
    if tuple(int(part) for part in str(vector).split(".")[:2]) < OLDEST_PGVECTOR:
        raise UnsuitableDatabase(
            f"pgvector {vector} is too old: install 0.8 or newer, then run `alter extension vector update`."
        )


async def current_revision(connection: AsyncConnection) -> str | None:
    return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
