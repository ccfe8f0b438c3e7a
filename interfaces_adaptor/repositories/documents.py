"""Documents: found, put, deleted, erased."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Text, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from infra.db.schema import document_versions, documents, embeddings
from infra.uow.unit_of_work import any_of
from interfaces_adaptor.repositories.erasure import Erasure
from interfaces_adaptor.repositories.generations import Generations
from interfaces_adaptor.repositories.links import Links, aliases_of
from interfaces_adaptor.repositories.postings import Postings
from interfaces_adaptor.repositories.versions import Versions, chunking_from
from services.filter_fields import filter_fields
from services.ingest.documents import NewDocument, OpenJob, StoredDocument

DESCRIBED = ("dataset_id", "doc_id", "identity", "file_name", "title", "source", "checksum", "text")

STORED = """
    select d.dataset_id, d.doc_id, d.deleted_at, d.given, v.version_id, v.checksum, v.chunker, v.chunk_size,
        v.chunk_overlap, v.refine, v.embed_model, v.chunk_count, v.state, v.build_tree,
        j.job_id, j.payer, coalesce(j.params -> 'budget', '{}'::jsonb) as budget,
        exists (
            select from datasets s join tree_nodes n on n.tenant_id = s.tenant_id and n.tree_id = s.live_tree_id
            join chunks c on c.tenant_id = n.tenant_id and c.chunk_id = n.chunk_id
            where s.tenant_id = d.tenant_id and s.dataset_id = d.dataset_id and c.version_id = v.version_id
        ) as in_live_tree
    from documents d
    join lateral (
        select * from document_versions v
        where v.tenant_id = d.tenant_id and v.dataset_id = d.dataset_id and v.doc_id = d.doc_id
        order by v.state = 'superseded', v.number desc limit 1
    ) v on true
    left join jobs j on j.tenant_id = v.tenant_id and j.job_id = v.job_id and j.status in ('queued', 'running')
"""


def identity_hash(identity: str) -> bytes:
    return hashlib.sha256(identity.encode()).digest()


def stored_from(row: RowMapping) -> StoredDocument:
    return StoredDocument(
        dataset_id=row["dataset_id"],
        doc_id=row["doc_id"],
        deleted=row["deleted_at"] is not None,
        given=row["given"],
        version_id=row["version_id"],
        checksum=row["checksum"],
        chunking=chunking_from(row),
        embed_model=row["embed_model"],
        chunk_count=row["chunk_count"],
        served=row["state"] == "ready",
        in_live_tree=row["in_live_tree"],
        build_tree=row["build_tree"],
        open_job=OpenJob(row["job_id"], row["payer"], row["budget"]) if row["job_id"] is not None else None,
    )


class Documents(Versions, Generations, Postings, Links, Erasure):
    async def find_document(self, dataset_id: str, identity: str) -> StoredDocument | None:
        # A doc_id finds the document however it came to be; a source or file name only what was uploaded under it.
        kind, _, value = identity.partition(":")
        condition = "d.doc_id = :doc" if kind == "id" else "d.identity_hash = :hash"
        row = await self.first(
            f"{STORED} where d.tenant_id = :tenant and d.dataset_id = :dataset and {condition}",
            dataset=dataset_id,
            **({"doc": value} if kind == "id" else {"hash": identity_hash(identity)}),
        )
        return stored_from(row) if row else None

    async def find_checksum(self, dataset_id: str, checksum: str) -> StoredDocument | None:
        row = await self.first(
            f"{STORED} where d.tenant_id = :tenant and d.dataset_id = :dataset and d.deleted_at is null"
            " and v.checksum = :checksum and v.state in ('ready', 'indexing') order by d.created_at limit 1",
            dataset=dataset_id,
            checksum=checksum,
        )
        return stored_from(row) if row else None

    async def put_document(self, document: NewDocument) -> None:
        values = {name: getattr(document, name) for name in DESCRIBED}
        added = insert(documents).values(
            tenant_id=self.tenant,
            identity_hash=identity_hash(document.identity),
            tags=list(document.tags),
            extra_meta=dict(document.extra_meta),
            given=dict(document.given),
            synced=document.synced,
            fields=filter_fields(document.source, document.title, document.tags, document.extra_meta),
            **values,
        )
        stored = await self.first(
            added.on_conflict_do_update(
                index_elements=["tenant_id", "dataset_id", "doc_id"],
                set_={
                    "file_name": func.coalesce(added.excluded.file_name, documents.c.file_name),
                    "source": func.coalesce(added.excluded.source, documents.c.source),
                    "tags": added.excluded.tags,
                    "extra_meta": added.excluded.extra_meta,
                    "given": added.excluded.given,
                    "synced": or_(added.excluded.synced, and_(documents.c.synced, documents.c.deleted_at.is_(None))),
                    "fields": func.jsonb_strip_nulls(
                        func.jsonb_build_object("source", documents.c.fields["source"])
                    ).op("||")(added.excluded.fields),
                    "updated_at": func.now(),
                    "deleted_at": None,
                },
            ).returning(documents.c.file_name, documents.c.source)
        )
        assert stored is not None
        aliases = aliases_of(document.extra_meta.get("aliases"))
        await self.put_links(
            document.dataset_id, document.doc_id, stored["file_name"], stored["source"], aliases, document.links
        )

    async def delete_documents(self, dataset_id: str, doc_ids: Sequence[str], *, hard: bool) -> int:
        await self.lock_dataset(dataset_id)
        rows = await self.all(
            update(documents)
            .where(
                self.own(documents),
                documents.c.dataset_id == dataset_id,
                documents.c.doc_id == any_of(doc_ids, Text()),
                *(() if hard else (documents.c.deleted_at.is_(None),)),
            )
            .values(deleted_at=func.coalesce(documents.c.deleted_at, func.now()), updated_at=func.now())
            .returning(documents.c.doc_id)
        )
        gone, of = [row["doc_id"] for row in rows], document_versions.c
        rows = await self.all(
            select(of.version_id).where(
                self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == any_of(gone, Text())
            )
        )
        versions = [row["version_id"] for row in rows]
        await self.hide(versions)
        if hard:
            await self._erase(dataset_id, gone, versions)
        return len(gone)

    async def _erase(self, dataset_id: str, doc_ids: Sequence[str], versions: Sequence[UUID]) -> None:
        """Text, chunks and vectors of the documents, the summaries made from them and their vectors, what was paid for
        them."""
        await self.erase_results(dataset_id, doc_ids)
        await self.abandon_builds(versions)
        await self.erase_generations(dataset_id)
        written = """
            select distinct p.tree_id, p.node_id from chunks c
            join tree_node_chunks p on p.tenant_id = c.tenant_id and p.chunk_id = c.chunk_id
            where c.tenant_id = :tenant and c.version_id = any(:versions)
        """
        await self.remove_postings_written_from(versions)
        await self.remove_postings(versions)
        await self.execute(
            f"""
            delete from embeddings e using ({written}) w
            where e.tenant_id = :tenant and e.generation_id = w.tree_id and e.owner_id = w.node_id
            """,
            versions=versions,
        )
        await self.execute(
            f"""
            update tree_nodes n set text = '', title = null, meta = '{{}}'::jsonb from ({written}) w
            where n.tenant_id = :tenant and n.tree_id = w.tree_id and n.node_id = w.node_id and n.text is not null
            """,
            versions=versions,
        )
        await self.execute(
            delete(embeddings).where(self.own(embeddings), embeddings.c.generation_id == any_of(versions))
        )
        await self.execute(
            delete(documents).where(
                self.own(documents), documents.c.dataset_id == dataset_id, documents.c.doc_id == any_of(doc_ids, Text())
            )
        )
