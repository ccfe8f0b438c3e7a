"""What revisions of the schema leave to the program, since a migration knows neither words nor how values compare."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import documents, tenants
from interfaces_adaptor.repositories.described import Described
from interfaces_adaptor.repositories.postings import Postings
from services.domain import TenantId


class CatchingUp(Postings, Described):
    async def fill_fields(self) -> None:
        """And links, a document at a time: memory holds the text of one."""
        of = documents.c
        for row in await self.all(select(of.dataset_id, of.doc_id).where(self.own(documents), of.fields.is_(None))):
            await self.follow_description(row["dataset_id"], row["doc_id"])


async def catch_up(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        owners = (await connection.scalars(select(tenants.c.tenant_id))).all()
    for tenant in owners:
        async with CatchingUp(engine, TenantId(tenant)) as work:
            await work.fill_fields()
            await work.index_missing()
            await work.commit()
