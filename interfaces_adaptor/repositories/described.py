"""What follows from what is said of a document: the fields that filters compare, the links that resolve to it."""

from __future__ import annotations

from sqlalchemy import select, update

from infra.db.schema import documents
from interfaces_adaptor.repositories.links import Links, aliases_of
from services.filter_fields import filter_fields
from services.text.links import links_in


class Described(Links):
    async def follow_description(self, dataset_id: str, doc_id: str) -> None:
        """After a change of source, title, tags or metadata."""
        of = documents.c
        is_it = self.own(documents), of.dataset_id == dataset_id, of.doc_id == doc_id
        told = select(of.source, of.title, of.tags, of.extra_meta, of.file_name, of.text).where(*is_it)
        row = await self.first(told)
        assert row is not None
        fields = filter_fields(row["source"], row["title"], row["tags"], row["extra_meta"])
        await self.execute(update(documents).where(*is_it).values(fields=fields))
        aliases, links = aliases_of(row["extra_meta"].get("aliases")), links_in(row["text"], row["source"])
        await self.put_links(dataset_id, doc_id, row["file_name"], row["source"], aliases, links)
