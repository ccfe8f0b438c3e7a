"""The schema's meanings as comments in the database, where psql and other tools show them.

They follow the schema at each migration; a revision would only tell them once more.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.schema import SetColumnComment, SetTableComment

from infra.db.schema import metadata

STORED = text(
    """
    select c.relname, coalesce(a.attname, ''), d.description
    from pg_description d
    join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
    where c.relnamespace = current_schema()::regnamespace
    """
)


def apply_comments(connection: Connection) -> None:
    """Writes those that are missing or differ."""
    stored = {(table, column): meaning for table, column, meaning in connection.execute(STORED)}
    for table in metadata.tables.values():
        if stored.get((table.name, "")) != table.comment:
            connection.execute(SetTableComment(table))
        for column in table.columns:
            if stored.get((table.name, column.name)) != column.comment:
                connection.execute(SetColumnComment(column))
