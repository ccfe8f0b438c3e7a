"""All that a database holds, to be searched for words."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


async def columns_that_hold(engine: AsyncEngine, words: Sequence[str]) -> set[str]:
    """Every column of every table of every schema, the queue's too, in which one of the words stands, bytes read as
    text; and the indexes that are named after one. A catalogue's statistics are Postgres' own affair, as are pages."""
    found = set()
    async with engine.connect() as connection:
        columns = await connection.execute(
            text(
                "select c.table_schema, c.table_name, c.column_name, c.data_type from information_schema.columns c"
                " join information_schema.tables t using (table_schema, table_name) where t.table_type = 'BASE TABLE'"
                " and table_schema not in ('pg_catalog', 'information_schema')"
            )
        )
        for schema, table, column, kind in columns.all():
            value = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
            there = await connection.scalar(
                text(f'select exists (select from "{schema}"."{table}" where lower({value}) like any (:words))'),
                {"words": [f"%{word.lower()}%" for word in words]},
            )
            if there:
                found.add(f"{table}.{column}")
        names = " ".join((await connection.scalars(text("select indexdef from pg_indexes"))).all())
    return found | {f"an index on {word}" for word in words if word in names}
