"""API keys: looked up before a tenant is known, hence on the engine and not in a tenant's unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, text
from sqlalchemy import exc as sa_exc
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.uow.unit_of_work import typed_error
from services.access import ApiKey
from services.domain import TenantId


class SqlKeyStore:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, tenant: TenantId, key_id: str, prefix: str, secret_hash: bytes, name: str) -> None:
        await self._run(
            """
            with owner as (
                insert into tenants (tenant_id, name) values (:tenant, :tenant) on conflict do nothing
            )
            insert into api_keys (tenant_id, key_id, prefix, secret_hash, name)
            values (:tenant, :key, :prefix, :hash, :name)
            """,
            tenant=tenant,
            key=key_id,
            prefix=prefix,
            hash=secret_hash,
            name=name,
        )

    async def all(self) -> Sequence[ApiKey]:
        rows = await self._run(
            "select tenant_id, key_id, prefix, name, created_at, last_used_at, revoked_at from api_keys"
            " order by created_at"
        )
        return [ApiKey(TenantId(row[0]), *row[1:]) for row in rows]

    async def revoke(self, key_id: str) -> bool:
        rows = await self._run(
            "update api_keys set revoked_at = now() where key_id = :key and revoked_at is null returning key_id",
            key=key_id,
        )
        return bool(rows)

    async def any_active(self) -> bool:
        return bool((await self._run("select exists (select from api_keys where revoked_at is null)"))[0][0])

    async def tenant_of(self, secret_hash: bytes) -> TenantId | None:
        rows = await self._run(
            "update api_keys set last_used_at = now() where secret_hash = :hash and revoked_at is null"
            " returning tenant_id",
            hash=secret_hash,
        )
        return TenantId(rows[0][0]) if rows else None

    async def _run(self, sql: str, **values: Any) -> Sequence[Any]:
        try:
            async with self._engine.begin() as connection:
                result: CursorResult[Any] = await connection.execute(text(sql), values)
                return result.all() if result.returns_rows else []
        except (sa_exc.SQLAlchemyError, OSError) as error:
            raise typed_error(error) or error from error
