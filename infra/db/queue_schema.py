"""The queue's own tables: procrastinate brings their SQL and its dated changes, this applies what is missing.

The table's comment says up to which change a database has come.
"""

from __future__ import annotations

from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


def changes() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


async def apply_queue_schema(connection: AsyncConnection) -> None:
    """Inside the caller's transaction."""
    there = await connection.scalar(text("select to_regclass('procrastinate_jobs') is not null"))
    known = changes()
    if there:
        applied = await connection.scalar(text("select coalesce(obj_description('procrastinate_jobs'::regclass), '')"))
        missing = [change.read_text() for change in known if change.name > str(applied)]
    else:
        missing = [SchemaManager.get_schema()]
    # Several statements in one text, functions with semicolons among them: only the simple protocol takes that.
    raw = await connection.get_raw_connection()
    assert raw.driver_connection is not None
    for sql in missing:
        await raw.driver_connection.execute(sql)
    if missing:
        await connection.execute(text(f"comment on table procrastinate_jobs is '{known[-1].name}'"))
