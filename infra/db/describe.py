"""The tables of `Database.md`, rendered from the schema: `python -m infra.db.describe Database.md` rewrites them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import CheckConstraint, Column, Constraint, ForeignKeyConstraint, Index, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql

from infra.db.schema import metadata

Kind = TypeVar("Kind", bound=Constraint)

HEADING = "## Tables\n"
TYPES = {"TIMESTAMP WITH TIME ZONE": "timestamptz"}


def described(document: str) -> str:
    """The document with its tables as the schema has them; what stands before them stays."""
    prose = document.partition(HEADING)[0]
    return prose + HEADING + "\n".join(map(section, metadata.tables.values()))


def section(table: Table) -> str:
    paragraphs = [
        f"### `{table.name}`\n{table.comment}",
        f"Primary key: {', '.join(f'`{column.name}`' for column in table.primary_key)}.",
        "\n".join(["| column | type | meaning |", "| --- | --- | --- |", *map(row, table.columns)]),
        line("Foreign keys", sorted(map(foreign_key, of_kind(table, ForeignKeyConstraint)))),
        line("Unique", sorted(f"`{one.name}` ({names(one.columns)})" for one in of_kind(table, UniqueConstraint))),
        line("Indexes", sorted(map(index, table.indexes))),
        line("Checks", sorted(f"`{one.sqltext}`" for one in of_kind(table, CheckConstraint))),
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def row(column: Column[object]) -> str:
    name = column.type.compile(postgresql.dialect()).upper()  # type: ignore[no-untyped-call]
    kind = TYPES.get(name, name.lower()) + (", null" if column.nullable else "")
    return f"| `{column.name}` | {kind} | {column.comment} |"


def foreign_key(key: ForeignKeyConstraint) -> str:
    return f"({names(key.columns)}) → `{key.referred_table.name}`, on delete {str(key.ondelete).lower()}"


def index(one: Index) -> str:
    condition = one.dialect_options["postgresql"]["where"]
    return f"`{one.name}` ({names(one.columns)}{f'; where {condition}' if condition is not None else ''})"


def of_kind(table: Table, kind: type[Kind]) -> list[Kind]:
    return [constraint for constraint in table.constraints if type(constraint) is kind]


def names(columns: Iterable[Column[object]]) -> str:
    return ", ".join(column.name for column in columns)


def line(title: str, items: list[str]) -> str:
    return f"{title}: {'; '.join(items)}." if items else ""


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(described(path.read_text(encoding="utf-8")), encoding="utf-8")
