"""The unit of work on Postgres: one connection, one transaction, for a tenant and, in a job, for its lease."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import asyncpg
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CursorResult,
    Executable,
    FromClause,
    TextClause,
    Uuid,
    any_,
    literal,
    select,
    text,
)
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeEngine

from infra.db.schema import jobs
from services.domain import TenantId
from services.errors import ConcurrentChange, DatabaseUnavailable, LeaseLost
from services.jobs.job import Lease

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


# Of a job whose attempt may still write: in the unit that ends it, it has ended already.
WRITABLE = ("running", "succeeded", "failed")


class UnitOfWork:
    """Rolls back what is not committed. With a lease, the commit holds only while that attempt is the current one:
    the job's row is locked, so that a take-over comes either wholly before or wholly after it.

    Repositories are units of work that speak of one kind of thing; `:tenant` is bound in each of their statements.
    """

    def __init__(
        self, engine: AsyncEngine, tenant: TenantId, lease: Lease | None = None, *, snapshot: bool = False
    ) -> None:
        """With `snapshot` all statements see the database as it is at the first, and none may write."""
        self.connection: AsyncConnection = engine.connect()
        self.tenant = tenant
        self._lease = lease
        self._snapshot = snapshot

    async def __aenter__(self) -> Self:
        try:
            await self.connection.start()
        except (sa_exc.DBAPIError, sa_exc.TimeoutError, OSError, TimeoutError) as error:
            raise DatabaseUnavailable from error
        try:
            if self._snapshot:
                await self.connection.execute(text("set transaction isolation level repeatable read, read only"))
            # SQLAlchemy sends BEGIN with its own first statement. A raw COPY that came before one would be outside of
            # the transaction and survive its rollback.
            await self.connection.execute(
                text("select set_config('raptor.tenant_id', :tenant, true)"), {"tenant": self.tenant}
            )
        except sa_exc.DBAPIError as error:
            await self.connection.close()
            raise DatabaseUnavailable from error
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.connection.close()
        except (sa_exc.DBAPIError, OSError) as error:
            if exc is None:
                raise DatabaseUnavailable from error
        typed = typed_error(exc)
        if typed is not None:
            raise typed from exc

    async def commit(self) -> None:
        """Raises LeaseLost if the unit was opened for a lease that is not current any more."""
        if self._lease is not None:
            row = await self.first(
                select(jobs.c.attempts, jobs.c.status)
                .where(self.own(jobs), jobs.c.job_id == self._lease.job_id)
                .with_for_update()
            )
            if row is None or row["attempts"] != self._lease.attempt or row["status"] not in WRITABLE:
                raise LeaseLost(job_id=str(self._lease.job_id))
        await self.connection.commit()

    def own(self, table: FromClause) -> ColumnElement[bool]:
        """The condition that every statement over a table of tenants carries."""
        mine: ColumnElement[bool] = table.c.tenant_id == self.tenant
        return mine

    async def execute(self, statement: str | Executable, **values: Any) -> CursorResult[Any]:
        """A statement over the schema's tables, or SQL in which `:tenant` is bound beside the values."""
        if isinstance(statement, str):
            statement = text(statement)
        if isinstance(statement, TextClause):
            values = {"tenant": self.tenant, **values}
        return await self.connection.execute(statement, values or None)

    async def all(self, statement: str | Executable, **values: Any) -> Sequence[RowMapping]:
        return (await self.execute(statement, **values)).mappings().all()

    async def first(self, statement: str | Executable, **values: Any) -> RowMapping | None:
        return (await self.execute(statement, **values)).mappings().first()

    async def copy(self, table: str, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
        """Writes rows by binary COPY inside the transaction, about 15 times as fast as INSERT. JSON values are given
        as text, vectors as numpy arrays; `tenant_id` is put in front."""
        raw = await self.connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        rows = ((self.tenant, *record) for record in records)
        await driver.copy_records_to_table(table, columns=["tenant_id", *columns], records=rows)


def as_json(value: Any) -> str:
    """For a jsonb column; NaN and Infinity, which jsonb does not hold, raise ValueError."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def any_of(values: Sequence[Any], kind: TypeEngine[Any] = Uuid()) -> ColumnElement[Any]:  # noqa: B008
    """One array is bound, however many there are: an `in` list is another statement for each length."""
    return any_(literal(values, ARRAY(kind)))


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
