"""The way back from a deletion that erased nothing."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update

from infra.db.schema import document_versions, documents
from infra.uow.unit_of_work import UnitOfWork
from services.errors import DocumentNotFound


class Undeletion(UnitOfWork):
    async def undelete_document(self, dataset_id: str, doc_id: str) -> bool | None:
        is_it = self.own(documents), documents.c.dataset_id == dataset_id, documents.c.doc_id == doc_id
        if await self.first(select(documents.c.doc_id).where(*is_it)) is None:
            raise DocumentNotFound(doc_id=doc_id)
        back = await self.first(
            update(documents)
            .where(*is_it, documents.c.deleted_at.is_not(None))
            .values(deleted_at=None, updated_at=func.now())
            .returning(documents.c.doc_id)
        )
        if back is None:
            return None
        of = document_versions.c
        of_it = self.own(document_versions), of.dataset_id == dataset_id, of.doc_id == doc_id
        # Served anew: a roll-back to a time when it was deleted puts it away again.
        await self.execute(update(document_versions).where(*of_it, of.state == "ready").values(ready_at=func.now()))
        # After a roll-back the newest version may be one that was replaced.
        rows = await self.all(
            select(of.version_id, of.build_tree).where(*of_it).order_by(of.state == "superseded", of.number.desc())
        )
        await self._show([row["version_id"] for row in rows])
        return bool(rows and rows[0]["build_tree"])

    async def _show(self, versions: Sequence[UUID]) -> None:
        """What these versions had hidden and nothing else hides: no text that was erased (an empty one), superseded,
        or is of another deleted document."""
        await self.execute(
            """
            update tree_nodes n set stale = false from chunks c
            join document_versions v on v.tenant_id = c.tenant_id and v.version_id = c.version_id
            where c.tenant_id = :tenant and c.version_id = any(:versions) and v.state <> 'superseded'
                and n.tenant_id = c.tenant_id and n.chunk_id = c.chunk_id and n.stale
            """,
            versions=list(versions),
        )
        await self.execute(
            """
            update tree_nodes n set stale = false
            where n.tenant_id = :tenant and n.stale and n.text <> '' and (n.tree_id, n.node_id) in (
                select p.tree_id, p.node_id from chunks c
                join tree_node_chunks p on p.tenant_id = c.tenant_id and p.chunk_id = c.chunk_id
                where c.tenant_id = :tenant and c.version_id = any(:versions)
            ) and not exists (
                select from tree_node_chunks p
                join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
                join document_versions v on v.tenant_id = c.tenant_id and v.version_id = c.version_id
                join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
                where p.tenant_id = n.tenant_id and p.tree_id = n.tree_id and p.node_id = n.node_id
                    and (d.deleted_at is not null or v.state = 'superseded')
            )
            """,
            versions=list(versions),
        )
