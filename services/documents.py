"""Documents as they are chosen by what is said of them, and what may be changed of them without reading them anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from services.domain import JsonObject, TenantId
from services.errors import InvalidExtraMeta, SourceTaken
from services.storage import OpenStorage, UnitOfWork

DocumentState = Literal["indexing", "ready", "failed", "superseded", "deleted"]
DocumentSort = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "title", "-title", "source", "-source", "bytes", "-bytes",
    "doc_id", "-doc_id",
]  # fmt: skip

# Of a document's metadata as JSON in UTF-8.
LARGEST_META_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """All that is named has to hold; of several values one. `title` is a part of it, in any case of letters. Deleted
    documents are chosen where `states` names them."""

    doc_ids: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    source_prefix: str | None = None
    states: Sequence[DocumentState] | None = None
    title: str | None = None

    @property
    def is_empty(self) -> bool:
        return self == DocumentFilter()


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What takes the place of what is stored; what is not in `fields` stays. As JSON Merge Patch has it (RFC 7396):
    null clears, `tags` are replaced as a whole, `meta` key by key."""

    fields: Mapping[Literal["tags", "meta", "source"], Any]


class EditStorage(UnitOfWork, Protocol):
    """What a change to documents asks of storage."""

    async def lock_dataset(self, dataset_id: str) -> None:
        """Raises DatasetNotFound."""
        ...

    async def document_meta(self, dataset_id: str, doc_id: str) -> JsonObject:
        """Raises DocumentNotFound."""
        ...

    async def document_of_identity(self, dataset_id: str, identity: str) -> str | None:
        """The `doc_id` of the document that an upload of this identity would be, a deleted one included."""
        ...

    async def change_document(self, dataset_id: str, doc_id: str, changes: Mapping[str, Any]) -> None:
        """`changes` by column. Where a document is known by its source, it is from now on by the new one, or without
        one by its id."""
        ...


class DocumentEditor:
    def __init__(self, open_storage: OpenStorage[EditStorage]) -> None:
        self._open = open_storage

    async def change(self, tenant: TenantId, dataset_id: str, doc_id: str, change: DocumentChange) -> None:
        """At once, and without work on text or vectors. Raises DatasetNotFound, DocumentNotFound, SourceTaken,
        InvalidExtraMeta for metadata that would be too large."""
        fields = change.fields
        async with self._open(tenant) as work:
            await work.lock_dataset(dataset_id)
            stored = await work.document_meta(dataset_id, doc_id)
            changes: dict[str, Any] = {}
            if "tags" in fields:
                changes["tags"] = list(fields["tags"] or ())
            if "meta" in fields:
                changes["extra_meta"] = merged_meta(stored, fields["meta"])
            if "source" in fields:
                changes["source"] = fields["source"]
                await self._refuse_taken(work, dataset_id, doc_id, fields["source"])
            if changes:
                await work.change_document(dataset_id, doc_id, changes)
            await work.commit()

    @staticmethod
    async def _refuse_taken(work: EditStorage, dataset_id: str, doc_id: str, source: str | None) -> None:
        other = await work.document_of_identity(dataset_id, f"source:{source}") if source else None
        if other is not None and other != doc_id:
            raise SourceTaken(doc_id=other, source=source)


def merged_meta(stored: JsonObject, patch: JsonObject | None) -> JsonObject:
    """Raises InvalidExtraMeta where it would be too large."""
    meta = merge_patch(stored, patch) if patch is not None else {}
    if len(json.dumps(meta, ensure_ascii=False).encode()) > LARGEST_META_BYTES:
        raise InvalidExtraMeta(reason="too large")
    return meta


def merge_patch(stored: Any, patch: JsonObject) -> dict[str, Any]:
    """JSON Merge Patch, RFC 7396."""
    merged = dict(stored) if isinstance(stored, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            merged[name] = merge_patch(merged.get(name), value)
        else:
            merged[name] = value
    return merged
