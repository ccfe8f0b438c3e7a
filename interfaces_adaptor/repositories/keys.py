"""API keys: looked up before a tenant is known, hence on the engine and not in a tenant's unit of work."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import api_keys, tenants
from infra.uow.unit_of_work import short_transaction
from services.access import ApiKey
from services.domain import TenantId

ACTIVE = api_keys.c.revoked_at.is_(None)


class SqlKeyStore:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, tenant: TenantId, key_id: str, prefix: str, secret_hash: bytes, name: str) -> None:
        async with short_transaction(self._engine) as connection:
            await connection.execute(insert(tenants).values(tenant_id=tenant, name=tenant).on_conflict_do_nothing())
            await connection.execute(
                insert(api_keys).values(
                    tenant_id=tenant, key_id=key_id, prefix=prefix, secret_hash=secret_hash, name=name
                )
            )

    async def all(self) -> Sequence[ApiKey]:
        shown = (api_keys.c[name] for name in ApiKey.__dataclass_fields__ if name != "tenant")
        async with short_transaction(self._engine) as connection:
            rows = await connection.execute(
                select(api_keys.c.tenant_id.label("tenant"), *shown).order_by(api_keys.c.created_at)
            )
            return [ApiKey(**row) for row in rows.mappings()]

    async def revoke(self, key_id: str) -> bool:
        async with short_transaction(self._engine) as connection:
            revoked = await connection.execute(
                update(api_keys).where(api_keys.c.key_id == key_id, ACTIVE).values(revoked_at=func.now())
            )
            return revoked.rowcount > 0

    async def any_active(self) -> bool:
        async with short_transaction(self._engine) as connection:
            return bool(await connection.scalar(select(exists().where(ACTIVE))))

    async def tenant_of(self, secret_hash: bytes) -> TenantId | None:
        async with short_transaction(self._engine) as connection:
            tenant = await connection.scalar(
                update(api_keys)
                .where(api_keys.c.secret_hash == secret_hash, ACTIVE)
                .values(last_used_at=func.now())
                .returning(api_keys.c.tenant_id)
            )
        return TenantId(tenant) if tenant is not None else None
