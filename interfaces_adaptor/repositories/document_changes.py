"""What is said of a document, changed in place: its text and its versions stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from infra.db.schema import documents
from interfaces_adaptor.repositories.described import Described
from interfaces_adaptor.repositories.documents import identity_hash
from services.domain import JsonObject
from services.errors import DocumentNotFound

KNOWN_BY_SOURCE = "source:"


class DocumentChanges(Described):
    async def document_meta(self, dataset_id: str, doc_id: str) -> JsonObject:
        of = documents.c
        row = await self.first(
            select(of.extra_meta).where(
                self.own(documents), of.dataset_id == dataset_id, of.doc_id == doc_id, of.deleted_at.is_(None)
            )
        )
        if row is None:
            raise DocumentNotFound(doc_id=doc_id)
        meta: JsonObject = row["extra_meta"]
        return meta

    async def document_of_identity(self, dataset_id: str, identity: str) -> str | None:
        of = documents.c
        row = await self.first(
            select(of.doc_id).where(
                self.own(documents), of.dataset_id == dataset_id, of.identity_hash == identity_hash(identity)
            )
        )
        return str(row["doc_id"]) if row is not None else None

    async def change_document(self, dataset_id: str, doc_id: str, changes: Mapping[str, Any]) -> None:
        of = documents.c
        is_it = self.own(documents), of.dataset_id == dataset_id, of.doc_id == doc_id
        await self.execute(update(documents).where(*is_it).values(**changes, updated_at=func.now()))
        await self.follow_description(dataset_id, doc_id)
        if "source" not in changes:
            return
        identity = f"{KNOWN_BY_SOURCE}{changes['source']}" if changes["source"] else f"id:{doc_id}"
        await self.execute(
            update(documents)
            .where(*is_it, of.identity.startswith(KNOWN_BY_SOURCE))
            .values(identity=identity, identity_hash=identity_hash(identity))
        )
