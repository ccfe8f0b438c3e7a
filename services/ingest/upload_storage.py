"""What an upload asks of storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from services.domain import Dataset, EmbeddingSpace, JsonObject, VectorIndex
from services.ingest.documents import NewDocument, NewVersion, StoredDocument
from services.jobs.job import NewJob
from services.storage import UnitOfWork
from services.tree.nodes import Tree


class UploadStorage(UnitOfWork, Protocol):
    """Its dataset is locked from the first of these on."""

    async def open_dataset(self, dataset_id: str, space: EmbeddingSpace, vector_index: VectorIndex) -> Dataset:
        """The dataset, made if it is not there, locked until the end of the unit of work."""
        ...

    async def change_dataset(self, dataset_id: str, *, vector_index: VectorIndex | None, settings: JsonObject) -> None:
        """Changes what was asked for by name and leaves the rest."""
        ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def find_document(self, dataset_id: str, identity: str) -> StoredDocument | None: ...

    async def find_checksum(self, dataset_id: str, checksum: str) -> StoredDocument | None: ...

    async def put_document(self, document: NewDocument) -> None:
        """Adds the document, or brings what describes it up to date; its text changes when a version takes over."""
        ...

    async def add_version(self, version: NewVersion) -> UUID: ...

    async def resume_version(self, version_id: UUID, *, build_tree: bool) -> None: ...

    async def give_way(self, dataset_id: str, doc_id: str) -> list[UUID]:
        """Versions of the document that are not embedded yet are superseded, before anything is paid for them; the jobs
        that have nothing left to bring in."""
        ...

    async def retire_served(self, dataset_id: str, doc_id: str) -> None:
        """The version that was served is superseded, and no longer found."""
        ...

    async def start_job(self, job: NewJob) -> UUID:
        """Adds the job and its place in the queue."""
        ...

    async def assign_versions(self, version_ids: Sequence[UUID], job_id: UUID) -> None:
        """The job that brings these versions in."""
        ...

    async def end_superseded(self, job_ids: Sequence[UUID], by: UUID) -> None:
        """These jobs are done: what they were to bring in is superseded by what job `by` brings."""
        ...

    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None: ...
