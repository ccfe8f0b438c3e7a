"""What tables are told with: columns with their meaning, types, defaults, keys that lead with the tenant."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Integer, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Vector(UserDefinedType[Any]):
    """pgvector's `vector`, of any dimension, as a numpy array.

    Binding and reading are left to the asyncpg codec that `infra/db/engine.py` registers on each connection:
    pgvector's own SQLAlchemy type goes through text, which is 15 to 25 times slower and breaks beside that codec.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "vector"


ischema_names["vector"] = Vector

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

TIME = DateTime(timezone=True)
TEXTS, INTEGERS = ARRAY(Text()), ARRAY(Integer())
NOW, ZERO, FALSE, EMPTY = func.now(), text("0"), text("false"), text("''")
EMPTY_OBJECT, EMPTY_LIST = text("'{}'::jsonb"), text("'[]'::jsonb")


def required(name: str, kind: Any, meaning: str, *, default: Any = None) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=default, comment=meaning)


def optional(name: str, kind: Any, meaning: str) -> Column[Any]:
    return Column(name, kind, nullable=True, comment=meaning)


def owned_by(table: str, *columns: str, on: tuple[str, ...] = (), name: str | None = None) -> ForeignKeyConstraint:
    """A foreign key that leads with the tenant; what is owned goes with its owner."""
    local, referred = ("tenant_id", *columns), ("tenant_id", *(on or columns))
    return ForeignKeyConstraint(local, [f"{table}.{column}" for column in referred], name=name, ondelete="CASCADE")
