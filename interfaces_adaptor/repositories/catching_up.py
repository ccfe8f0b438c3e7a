"""What revisions of the schema leave to the program, since a migration knows neither words nor how values compare."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import tenants
from interfaces_adaptor.repositories.describing import Describing
from interfaces_adaptor.repositories.postings import Postings
from services.domain import TenantId


class CatchingUp(Postings, Describing):
    """What it takes, for one tenant."""


async def catch_up(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        owners = (await connection.scalars(select(tenants.c.tenant_id))).all()
    for tenant in owners:
        async with CatchingUp(engine, TenantId(tenant)) as work:
            await work.fill_fields()
            await work.index_missing()
            await work.commit()
