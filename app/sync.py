"""What a sync of a folder with a dataset finds and does, over the service's API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import OperatorError
from interfaces_adaptor.clients.service_client import ServiceClient, ServiceError
from interfaces_adaptor.gateways.folders.reading import FolderReader, FolderState, identified
from interfaces_adaptor.gateways.folders.walk import FolderRefused
from services.sync.plan import ListedDocument, SyncPlan, plan_sync


class AnotherFolder(OperatorError):
    """The dataset is kept equal to another folder."""


class DeletesMuch(OperatorError):
    """More than a tenth of the dataset would be deleted, and nobody has said that it may."""

    def __init__(self, plan: SyncPlan) -> None:
        super().__init__(
            f"{len(plan.gone)} of {plan.documents} documents would be deleted, more than a tenth: `raptor sync"
            " --dry-run` names them, --yes lets them go."
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A folder beside its dataset; `remembered` is the folder that the dataset follows, and `new_root` says that this
    one may take its place."""

    root: Path
    dataset: str
    folder: FolderState
    plan: SyncPlan
    remembered: str | None
    new_root: bool

    @property
    def equal(self) -> bool:
        return self.plan.nothing_to_do and (self.remembered == str(self.root) or not self.plan.documents)

    def files_to_send(self) -> list[tuple[Path, str]]:
        return [(self.folder.at[path], path) for path in self.plan.to_send]

    def changes(self) -> dict[str, Any]:
        """What the commit does beside taking in what was sent. Raises FolderRefused where the folder is not there any
        more: what is missing in it would be deleted otherwise."""
        if identified(self.root) != self.folder.root:
            raise FolderRefused(f"{self.root} was exchanged meanwhile: nothing was changed.")
        return {
            "delete": [document.doc_id for document in self.plan.gone],
            "move": [{"doc_id": doc_id, "source": path} for doc_id, path in self.plan.to_move.items()],
            "sync_root": str(self.root),
            "new_sync_root": self.new_root,
        }


def compared(client: ServiceClient, reader: FolderReader, dataset: str, *, new_root: bool) -> Comparison:
    """Raises FolderRefused, and AnotherFolder unless `new_root` says that this one takes its place."""
    remembered = sync_root_of(client, dataset)
    if remembered not in (None, str(reader.root)) and not new_root:
        raise AnotherFolder(
            f"{dataset} is kept equal to {remembered}, not to {reader.root}. If that folder is here now, --new-root"
            " says so; for another folder take another dataset."
        )
    folder = reader.read()
    plan = plan_sync(folder.files, folder.unread, list(listed(client, dataset)))
    return Comparison(reader.root, dataset, folder, plan, remembered, new_root)


def sync_root_of(client: ServiceClient, dataset: str) -> str | None:
    try:
        root = client.dataset(dataset)["sync_root"]
    except ServiceError as error:
        if error.code != "dataset_not_found":
            raise
        return None
    return None if root is None else str(root)


def listed(client: ServiceClient, dataset: str) -> Iterator[ListedDocument]:
    try:
        for one in client.documents(dataset):
            yield ListedDocument(
                doc_id=one["doc_id"],
                source=one["source"] or "",
                identity=one["identity"],
                synced=one["synced"],
                checksum=one["newest_checksum"],
                status=one["status"],
            )
    except ServiceError as error:
        if error.code != "dataset_not_found":
            raise


def documents_to_price(comparison: Comparison) -> list[dict[str, str]]:
    """As the estimate takes them. Raises FolderRefused."""
    documents = []
    for at, path in comparison.files_to_send():
        try:
            text = at.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise FolderRefused(f"{path} changed while it was read: try again.") from error
        documents.append({"text": text, "source": path, "file_name": path.rpartition("/")[2]})
    return documents
