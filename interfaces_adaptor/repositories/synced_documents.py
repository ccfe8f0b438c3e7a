"""Documents that follow the files of a folder."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, update

from infra.db.schema import datasets
from interfaces_adaptor.repositories.described import Described
from services.errors import DocumentNotFound, SourceTaken
from services.ingest.metadata import file_title

MOVES = "unnest(cast(:ids as text[]), cast(:sources as text[])) as m(doc_id, source)"
TITLES = "unnest(cast(:ids as text[]), cast(:titles as text[])) as t(doc_id, title)"
# As `identity_hash` in documents.py.
HASH = "sha256(convert_to({identity}, 'UTF8'))"
OF_ID = HASH.format(identity="'id:' || d.doc_id")
OF_SOURCE = HASH.format(identity="'source:' || m.source")


class SyncedDocuments(Described):
    async def set_sync_root(self, dataset_id: str, root: str) -> None:
        await self.execute(
            update(datasets)
            .where(self.own(datasets), datasets.c.dataset_id == dataset_id)
            .values(sync_root=root, updated_at=func.now())
        )

    async def move_documents(self, dataset_id: str, sources: Mapping[str, str], *, synced: bool) -> None:
        moves = {"dataset": dataset_id, "ids": list(sources), "sources": list(sources.values())}
        missing = await self.first(
            f"""
            select m.doc_id from {MOVES} where not exists (
                select from documents d where d.tenant_id = :tenant and d.dataset_id = :dataset
                    and d.doc_id = m.doc_id and d.deleted_at is null
            )
            """,
            **moves,
        )
        if missing is not None:
            raise DocumentNotFound(doc_id=missing["doc_id"])
        taken = await self.first(
            f"""
            select d.doc_id, m.source from {MOVES} join documents d on d.tenant_id = :tenant
                and d.dataset_id = :dataset and d.identity_hash = {OF_SOURCE}
            where d.deleted_at is null and d.doc_id <> all(cast(:ids as text[]))
            """,
            **moves,
        )
        if taken is not None:
            raise SourceTaken(**taken)
        # No two may ever have one identity: those that move, and deleted ones whose place is taken, are known by their
        # ids alone for now.
        await self.execute(
            f"""
            update documents d set identity = 'id:' || d.doc_id, identity_hash = {OF_ID}
            from {MOVES}
            where d.tenant_id = :tenant and d.dataset_id = :dataset
                and (d.doc_id = m.doc_id or d.identity_hash = {OF_SOURCE})
            """,
            **moves,
        )
        titles = await self._titles(dataset_id, sources)
        await self.execute(
            f"""
            update documents d set identity = 'source:' || m.source, identity_hash = {OF_SOURCE}, source = m.source,
                file_name = regexp_replace(m.source, '^.*/', ''), title = t.title,
                synced = d.synced or :synced, updated_at = now()
            from {MOVES} join {TITLES} on t.doc_id = m.doc_id
            where d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = m.doc_id
            """,
            synced=synced,
            titles=[titles[doc_id] for doc_id in sources],
            **moves,
        )
        for doc_id in sources:
            await self.follow_description(dataset_id, doc_id)

    async def _titles(self, dataset_id: str, sources: Mapping[str, str]) -> dict[str, str | None]:
        """At the new places: a title that was the file's name is that of the new one."""
        rows = await self.all(
            """
            select doc_id, title, file_name, source from documents
            where tenant_id = :tenant and dataset_id = :dataset and doc_id = any(cast(:ids as text[]))
            """,
            dataset=dataset_id,
            ids=list(sources),
        )
        return {
            row["doc_id"]: file_title(sources[row["doc_id"]])
            if row["title"] in (file_title(row["file_name"]), file_title(row["source"]))
            else row["title"]
            for row in rows
        }
