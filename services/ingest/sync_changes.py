"""What a commit changes beside what was uploaded: documents that are deleted or moved, and the folder that the dataset
is kept equal to. All of it in the commit's transaction, before the uploaded documents come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.domain import Dataset
from services.errors import AnotherSyncRoot, DocumentNotFound, InvalidRequest
from services.storage import UnitOfWork


@dataclass(frozen=True, slots=True)
class Move:
    """The document is found under this `source` from now on; what it is made of stays."""

    doc_id: str
    source: str


@dataclass(frozen=True, slots=True)
class Changes:
    """`delete` and `move` name documents by id. `sync_root` makes what is uploaded and moved files of that folder;
    `new_sync_root` allows it to be another folder than before."""

    delete: Sequence[str] = ()
    move: Sequence[Move] = ()
    sync_root: str | None = None
    new_sync_root: bool = False


NONE = Changes()


class ChangesStorage(UnitOfWork, Protocol):
    """What these changes ask of storage."""

    async def set_sync_root(self, dataset_id: str, root: str) -> None: ...

    async def delete_documents(self, dataset_id: str, doc_ids: Sequence[str], *, hard: bool) -> int:
        """How many of them were there."""
        ...

    async def move_documents(self, dataset_id: str, sources: Mapping[str, str], *, synced: bool) -> None:
        """All of them at once, so that two may change places. Raises DocumentNotFound, and SourceTaken for a source
        that a document has which neither moves nor is deleted."""
        ...


async def make_changes(work: ChangesStorage, dataset: Dataset, changes: Changes) -> None:
    """Raises AnotherSyncRoot, InvalidRequest, DocumentNotFound, SourceTaken."""
    if changes.sync_root is not None and changes.sync_root != dataset.sync_root:
        if dataset.sync_root is not None and not changes.new_sync_root:
            raise AnotherSyncRoot(sync_root=dataset.sync_root)
        await work.set_sync_root(dataset.dataset_id, changes.sync_root)
    named = [*changes.delete, *(move.doc_id for move in changes.move)]
    if len(set(named)) < len(named):
        raise InvalidRequest("A document is named twice in `delete` and `move`.", field="move")
    for doc_id in changes.delete:
        if not await work.delete_documents(dataset.dataset_id, [doc_id], hard=False):
            raise DocumentNotFound(doc_id=doc_id)
    if changes.move:
        sources = {move.doc_id: move.source for move in changes.move}
        if len(set(sources.values())) < len(sources):
            raise InvalidRequest("Two documents are moved to one `source`.", field="move")
        await work.move_documents(dataset.dataset_id, sources, synced=changes.sync_root is not None)
