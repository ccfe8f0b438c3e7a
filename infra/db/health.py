"""Health checks of the database, its schema and the workers that use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.db.migrate import Migrations, current_revision
from services.health import Check, ComponentHealth


def database_checks(engine: AsyncEngine, migrations: Migrations) -> Mapping[str, Check]:
    """By the name of the component. Without database or schema no request can be answered."""
    return {
        "database": partial(checked, engine, versions, needed=True),
        "schema": partial(checked, engine, partial(schema, migrations), needed=True),
        "workers": partial(checked, engine, workers, needed=False),
    }


async def checked(
    engine: AsyncEngine, check: Callable[[AsyncConnection], Awaitable[tuple[bool, str]]], *, needed: bool
) -> ComponentHealth:
    try:
        async with engine.connect() as connection:
            ok, detail = await check(connection)
    except (SQLAlchemyError, OSError) as error:
        ok, detail = False, f"the database does not answer ({type(error).__name__})"
    return ComponentHealth(ok, detail, needed)


async def versions(connection: AsyncConnection) -> tuple[bool, str]:
    server = await connection.scalar(text("show server_version"))
    vector = await connection.scalar(text("select extversion from pg_extension where extname = 'vector'"))
    return True, f"Postgres {server}, pgvector {vector}"


async def schema(migrations: Migrations, connection: AsyncConnection) -> tuple[bool, str]:
    current, head = await current_revision(connection), migrations.head
    if current != head:
        return False, f"at {current}, this version needs {head}: run `raptor migrate`"
    return True, f"at {current}"


async def workers(connection: AsyncConnection) -> tuple[bool, str]:
    alive = await connection.scalar(
        text("select count(*) from procrastinate_workers where last_heartbeat > now() - interval '1 minute'")
    )
    return bool(alive), f"{alive} alive" if alive else "none alive: start `raptor worker`"
