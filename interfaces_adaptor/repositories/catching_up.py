"""What revisions of the schema leave to the program, since a migration knows neither words nor how values compare."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.db.schema import documents, tenants
from interfaces_adaptor.repositories.links import Links, aliases_of
from interfaces_adaptor.repositories.postings import Postings
from services.domain import TenantId
from services.filter_fields import filter_fields
from services.text.links import links_in


class CatchingUp(Postings, Links):
    async def fill_fields(self) -> None:
        """And links, a document at a time: memory holds the text of one."""
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
            told = select(of.file_name, of.text).where(
                self.own(documents), of.dataset_id == row["dataset_id"], of.doc_id == row["doc_id"]
            )
            found = await self.first(told)
            assert found is not None
            aliases = aliases_of(row["extra_meta"].get("aliases"))
            await self.put_links(
                row["dataset_id"],
                row["doc_id"],
                found["file_name"],
                row["source"],
                aliases,
                links_in(found["text"], row["source"]),
            )


async def catch_up(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        owners = (await connection.scalars(select(tenants.c.tenant_id))).all()
    for tenant in owners:
        async with CatchingUp(engine, TenantId(tenant)) as work:
            await work.fill_fields()
            await work.index_missing()
            await work.commit()
