"""What filters compare of documents, and what they are called and link to, where that is to be made anew."""

from __future__ import annotations

from sqlalchemy import select, update

from infra.db.schema import documents
from interfaces_adaptor.repositories.links import Links, aliases_of
from services.filter_fields import filter_fields
from services.text.links import links_in


class Describing(Links):
    async def fill_fields(self) -> None:
        """And links, of documents without them, one at a time: memory holds the text of one."""
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
