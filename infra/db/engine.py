"""The engine: one pool of asyncpg connections that speak pgvector's binary format."""

from __future__ import annotations

from typing import Any

from pgvector.asyncpg import register_vector
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# Search statements bind the model and the dataset. With a generic plan the partial vector index is not used, and a
# query of 1 ms took 1.1 s; planning anew costs a fraction of a millisecond. JIT never pays for statements this short.
SERVER_SETTINGS = {"plan_cache_mode": "force_custom_plan", "jit": "off", "application_name": "raptor"}


def asyncpg_url(url: str) -> str:
    """Any Postgres URL (`postgres://`, `postgresql://`, `postgresql+…://`) as SQLAlchemy wants it for asyncpg."""
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ValueError("DATABASE_URL has to be a Postgres URL: postgresql://user:password@host:5432/database")
    parsed = make_url(f"postgresql+asyncpg://{rest}")
    query = dict(parsed.query)
    # libpq says sslmode, asyncpg says ssl; the values are the same words.
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return parsed.set(query=query).render_as_string(hide_password=False)


def libpq_url(url: str) -> str:
    """The same URL for libpq, which the job queue's driver is built on."""
    return "postgresql://" + url.partition("://")[2]


def create_engine(url: str, *, pool_size: int = 10, timeout_s: float = 10.0) -> AsyncEngine:
    """An engine whose connections exchange vectors as numpy arrays. The schema has to be there already.

    `pool_size` connections are kept, as many more are opened under load; a request that waits longer than
    `timeout_s` for one, or for the server to answer its connect, gets an error instead of hanging.
    """
    engine = create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=timeout_s,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"timeout": timeout_s, "server_settings": SERVER_SETTINGS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def register(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.run_async(register_vector)

    return engine
