"""The unit of work on Postgres: one connection, one transaction, the repositories bound to both and to a tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import asyncpg
from sqlalchemy import exc as sa_exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.catalog import Catalog
from services.domain import Lease, TenantId
from services.errors import ConcurrentChange, DatabaseUnavailable, LeaseLost
from services.search import Search
from services.store import Datasets, Documents, Jobs, Postings, Trees, Vectors
from services.usage import Ledger

# SQLSTATEs by what the caller can do about them.
CONCURRENT = {
    "23503",  # foreign key: a parent was deleted meanwhile
    "40001",  # serialization failure
    "40P01",  # deadlock
}
UNAVAILABLE = {
    "53100",  # disk full
    "53200",  # out of memory
    "53300",  # too many connections
    "55P03",  # lock timeout
    "57014",  # statement timeout
    "57P01",  # the server is shut down
    "57P02",
    "57P03",  # the server is starting up
}


@dataclass(frozen=True, slots=True)
class Repositories:
    datasets: Datasets
    documents: Documents
    vectors: Vectors
    postings: Postings
    trees: Trees
    jobs: Jobs
    search: Search
    catalog: Catalog
    ledger: Ledger


BindRepositories = Callable[[AsyncConnection, TenantId], Repositories]


class SqlUnitOfWork:
    """Rolls back what is not committed. With a lease, the commit holds only while that attempt is the current one:
    the job's row is locked, so that a take-over comes either wholly before or wholly after it."""

    datasets: Datasets
    documents: Documents
    vectors: Vectors
    postings: Postings
    trees: Trees
    jobs: Jobs
    search: Search
    catalog: Catalog
    ledger: Ledger

    def __init__(
        self,
        engine: AsyncEngine,
        bind: BindRepositories,
        tenant: TenantId,
        lease: Lease | None = None,
        *,
        snapshot: bool = False,
    ) -> None:
        self._connection = engine.connect()
        self._bind = bind
        self.tenant = tenant
        self._lease = lease
        self._snapshot = snapshot

    async def __aenter__(self) -> Self:
        try:
            await self._connection.start()
        except (sa_exc.DBAPIError, sa_exc.TimeoutError, OSError, TimeoutError) as error:
            raise DatabaseUnavailable from error
        try:
            if self._snapshot:
                await self._connection.execute(text("set transaction isolation level repeatable read, read only"))
            # SQLAlchemy sends BEGIN with its own first statement. A raw COPY that came before one would be outside of
            # the transaction and survive its rollback.
            await self._connection.execute(
                text("select set_config('raptor.tenant_id', :tenant, true)"), {"tenant": self.tenant}
            )
        except sa_exc.DBAPIError as error:
            await self._connection.close()
            raise DatabaseUnavailable from error
        bound = self._bind(self._connection, self.tenant)
        self.datasets, self.documents, self.vectors = bound.datasets, bound.documents, bound.vectors
        self.postings, self.trees, self.jobs = bound.postings, bound.trees, bound.jobs
        self.search, self.catalog = bound.search, bound.catalog
        self.ledger = bound.ledger
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._connection.close()
        except (sa_exc.DBAPIError, OSError) as error:
            if exc is None:
                raise DatabaseUnavailable from error
        typed = typed_error(exc)
        if typed is not None:
            raise typed from exc

    async def commit(self) -> None:
        if self._lease is not None:
            current = await self._connection.scalar(
                text(
                    "select attempts = :attempt and status in ('running', 'succeeded', 'failed') from jobs"
                    " where tenant_id = :tenant and job_id = :job for update"
                ),
                {"attempt": self._lease.attempt, "tenant": self.tenant, "job": self._lease.job_id},
            )
            if not current:
                raise LeaseLost(job_id=str(self._lease.job_id))
        await self._connection.commit()


@asynccontextmanager
async def short_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction outside of every unit of work, for what has to be there whatever becomes of those. Raises
    DatabaseUnavailable, ConcurrentChange."""
    try:
        async with engine.begin() as connection:
            yield connection
    except (sa_exc.SQLAlchemyError, asyncpg.InterfaceError, OSError) as error:
        typed = typed_error(error)
        if typed is None:
            raise
        raise typed from error


def typed_error(error: BaseException | None) -> ConcurrentChange | DatabaseUnavailable | None:
    """The driver's errors as ours; None for those that are defects. Disconnects come in three classes from asyncpg,
    so that they are told by SQLAlchemy's verdict on the connection, not by class."""
    if isinstance(error, sa_exc.TimeoutError | OSError | asyncpg.InterfaceError):
        return DatabaseUnavailable()
    if isinstance(error, sa_exc.DBAPIError):
        if error.connection_invalidated:
            return DatabaseUnavailable()
        error = error.orig
    sqlstate = getattr(error, "sqlstate", None) or ""
    if sqlstate in UNAVAILABLE or sqlstate.startswith("08"):
        return DatabaseUnavailable()
    return ConcurrentChange() if sqlstate in CONCURRENT else None
