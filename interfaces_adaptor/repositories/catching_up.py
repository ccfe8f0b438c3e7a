"""What revisions of the schema leave to the program, since a migration knows neither words nor how values compare."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import documents, tenants
from interfaces_adaptor.repositories.postings import Postings
from services.domain import TenantId
from services.filter_fields import filter_fields


class CatchingUp(Postings):
    async def fill_fields(self) -> None:
        of = documents.c
        unfilled = select(of.dataset_id, of.doc_id, of.source, of.title, of.tags, of.extra_meta).where(
            self.own(documents), of.fields.is_(None)
        )
        for row in await self.all(unfilled):
            fields = filter_fields(row["source"], row["title"], row["tags"], row["extra_meta"])
            await self.execute(
                update(documents)
                .where(self.own(documents), of.dataset_id == row["dataset_id"], of.doc_id == row["doc_id"])
                .values(fields=fields)
            )


async def catch_up(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        owners = (await connection.scalars(select(tenants.c.tenant_id))).all()
    for tenant in owners:
        async with CatchingUp(engine, TenantId(tenant)) as work:
            await work.fill_fields()
            await work.index_missing()
            await work.commit()
