"""Bringing a database to the schema of this version, and asking which version it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from infra.db.engine import asyncpg_url

if TYPE_CHECKING:
    from alembic.config import Config

# Several processes may start on one database at the same moment: the first migrates, the others wait here.
MIGRATION_LOCK = 7_274_801_335
OLDEST_POSTGRES = 15  # foreign keys that set one column of several to null
REVISION = re.compile(r'^revision\b[^=\n]*= "(\w+)"', re.MULTILINE)
DOWN_REVISION = re.compile(r'^down_revision\b[^=\n]*= "(\w+)"', re.MULTILINE)
OLDEST_PGVECTOR = (0, 8)  # iterative scans: as many rows as match come back


class UnsuitableDatabase(Exception):
    """This database cannot hold the service; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions in the folder `scripts`. Alembic is imported to apply them, and not by a process that finds its
    database up to date."""

    scripts: Path

    @property
    def head(self) -> str:
        """The revision that no other one follows."""
        texts = [path.read_text(encoding="utf-8") for path in (self.scripts / "versions").glob("*.py")]
        revisions = {found for text in texts for found in REVISION.findall(text)}
        (head,) = revisions - {found for text in texts for found in DOWN_REVISION.findall(text)}
        return str(head)

    def upgrade(self, connection: Connection, revision: str = "head") -> None:
        from alembic import command

        command.upgrade(self._config(connection), revision)

    def downgrade(self, connection: Connection, revision: str) -> None:
        from alembic import command

        command.downgrade(self._config(connection), revision)

    def _config(self, connection: Connection | None = None) -> Config:
        from alembic.config import Config

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(self.scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config


async def migrate(url: str, migrations: Migrations) -> str | None:
    """Brings the database at `url` to the newest revision; the one that it had before, None for a new database. Raises
    UnsuitableDatabase."""
    from infra.db.comments import apply_comments
    from infra.db.queue_schema import apply_queue_schema

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
                before = await current_revision(connection)
                if before != migrations.head:
                    await connection.run_sync(migrations.upgrade)
                await connection.run_sync(apply_comments)
                await connection.commit()
                return before
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
    if await connection.scalar(text("select to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = await connection.scalar(text("select version_num from alembic_version"))
    return revision
