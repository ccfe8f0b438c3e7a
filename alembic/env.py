"""Applies revisions on the connection that the caller hands over (`infra/db/migrate.py`), or, for the command line of
alembic, on one to the database that the settings name."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from app.settings import load_settings
from infra.db.engine import asyncpg_url
from infra.db.schema import metadata


def ours(item: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    """Whether a thing of the database is described by the schema: the queue's tables are not, nor are the vector
    indexes, which datasets get and lose as they grow."""
    return not (name or "").startswith(("procrastinate_", "idx_procrastinate_", "hnsw_"))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=ours,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    settings = load_settings()
    if settings.database_url is None:
        raise SystemExit("Set DATABASE_URL, or use `raptor migrate`, which knows the embedded database too.")
    engine = create_async_engine(asyncpg_url(settings.database_url.get_secret_value()))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(connect_and_run())
