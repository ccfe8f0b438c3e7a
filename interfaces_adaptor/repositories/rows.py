"""What every repository needs: its connection, its tenant, and bulk writing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import CursorResult, text
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain import TenantId


class TenantRows:
    """SQL on one connection for one tenant: `:tenant` is bound in every statement."""

    def __init__(self, connection: AsyncConnection, tenant: TenantId) -> None:
        self.connection = connection
        self.tenant = tenant

    async def execute(self, sql: str, **values: Any) -> CursorResult[Any]:
        return await self.connection.execute(text(sql), {"tenant": self.tenant, **values})

    async def all(self, sql: str, **values: Any) -> Sequence[RowMapping]:
        return (await self.execute(sql, **values)).mappings().all()

    async def first(self, sql: str, **values: Any) -> RowMapping | None:
        return (await self.execute(sql, **values)).mappings().first()

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
