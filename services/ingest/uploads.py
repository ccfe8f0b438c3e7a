"""Uploads of many documents: begun, filled one document at a time, committed at once.

Nothing of an upload can be read before its commit, which is one transaction: one job, one build. An upload that is not
committed expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.cost.budget import Budget, Keys
from services.domain import ChunkingParams, JsonObject, Refine, TenantId, UpsertMode, VectorIndex
from services.errors import InvalidRequest, UploadClosed
from services.ingest.sync_changes import NONE, Changes, ChangesStorage, make_changes
from services.ingest.upload import Accepted, DocumentIngestor, Upload
from services.ingest.upload_storage import UploadStorage
from services.storage import OpenStorage
from services.tree.rewriting import Rewriting, RewritingStorage

# Documents that are read back and admitted together.
PART = 200


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """What holds for all documents of an upload."""

    build_tree: bool = True
    summary_llm: str | None = None
    vector_index: VectorIndex | None = None
    upsert_mode: UpsertMode = "upsert"
    chunking: ChunkingParams = ChunkingParams()
    refine: Refine | None = None
    embed_model: str | None = None
    tree: JsonObject = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> UploadOptions:
        values = dict(stored)
        chunking: object = values.pop("chunking")
        assert isinstance(chunking, dict)
        return cls(**values, chunking=ChunkingParams(**chunking))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload as it is stored; `job_id` and `committed_at` are those of its commit."""

    upload_id: UUID
    dataset_id: str
    options: UploadOptions
    documents: int
    job_id: UUID | None
    created_at: datetime
    expires_at: datetime
    committed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of each document, and the job for all of them; None where nothing is to be done. `deleted` and
    `moved` count documents that the commit named."""

    dataset_id: str
    documents: Sequence[Accepted]
    job_id: UUID | None
    deleted: int = 0
    moved: int = 0


class UploadsStorage(UploadStorage, ChangesStorage, RewritingStorage, Protocol):
    """What uploads of many documents ask of storage."""

    async def begin_upload(self, dataset_id: str, options: UploadOptions, lasts: timedelta) -> OpenUpload: ...

    async def get_upload(self, upload_id: UUID, *, lock: bool = False) -> OpenUpload:
        """Raises UploadNotFound, also for one that has expired."""
        ...

    async def stage_document(self, upload_id: UUID, upload: Upload) -> bool:
        """False where the upload has a document of this identity already."""
        ...

    def staged_documents(self, upload_id: UUID, part: int) -> AsyncIterator[list[Upload]]:
        """Parts of what was staged, in the order in which it came."""
        ...

    async def close_upload(self, upload_id: UUID, job_id: UUID | None) -> None:
        """It is committed; what was staged is removed."""
        ...

    async def discard_upload(self, upload_id: UUID) -> None: ...


class UploadSessions:
    def __init__(
        self,
        open_storage: OpenStorage[UploadsStorage],
        ingestor: DocumentIngestor,
        rewriting: Rewriting,
        *,
        lasts: timedelta,
    ) -> None:
        """An upload `lasts` so long from its beginning."""
        self._open = open_storage
        self._ingestor = ingestor
        self._rewriting = rewriting
        self._lasts = lasts

    async def begin(self, tenant: TenantId, dataset_id: str, options: UploadOptions) -> OpenUpload:
        async with self._open(tenant) as work:
            begun = await work.begin_upload(dataset_id, options, self._lasts)
            await work.commit()
        return begun

    async def add(self, tenant: TenantId, upload_id: UUID, upload: Upload) -> OpenUpload:
        """`upload` is as its own request would be; dataset and options are the open upload's. Raises UploadNotFound,
        UploadClosed, InvalidRequest for a second document of one identity, UnsupportedFileType, InvalidEncoding,
        EmptyDocument."""
        await asyncio.to_thread(self._ingestor.read, upload)
        async with self._open(tenant) as work:
            begun = await self._still_open(work, upload_id, lock=True)
            if not await work.stage_document(upload_id, upload):
                raise InvalidRequest(
                    "The upload has a document of this identity already: a document stands in an upload once.",
                    identity=upload.identity,
                )
            await work.commit()
        return replace(begun, documents=begun.documents + 1)

    async def commit(
        self, tenant: TenantId, upload_id: UUID, keys: Keys, budget: Budget, changes: Changes = NONE
    ) -> Committed:
        """Raises UploadNotFound, UploadClosed, and what an upload of one document and `make_changes` do."""
        async with self._open(tenant) as work:
            begun = await self._still_open(work, upload_id)
        head = with_options(Upload(begun.dataset_id, b"", keys=keys, budget=budget), begun.options)
        space = await self._ingestor.space(tenant, head)
        async with self._open(tenant) as work:
            # Locks the dataset before the upload, as a deletion of the dataset does.
            admission = await self._ingestor.open(work, head, space)
            await self._still_open(work, upload_id, lock=True)
            await make_changes(work, admission.dataset, changes)
            async for part in work.staged_documents(upload_id, PART):
                uploads = [
                    replace(
                        with_options(one, begun.options),
                        keys=keys,
                        budget=budget,
                        synced=changes.sync_root is not None,
                    )
                    for one in part
                ]
                read = await asyncio.to_thread(lambda part: [self._ingestor.read(one) for one in part], uploads)
                await self._ingestor.admit(work, admission, read)
            job_id = await self._ingestor.start(work, admission, head)
            if changes.delete:
                job_id = await self._rewrite(work, begun, job_id, keys)
            await work.close_upload(upload_id, job_id)
            await work.commit()
        return Committed(begun.dataset_id, admission.accepted, job_id, len(changes.delete), len(changes.move))

    async def _rewrite(self, work: UploadsStorage, begun: OpenUpload, job_id: UUID | None, keys: Keys) -> UUID | None:
        """What told of deleted documents is written by the build of the new ones, where there are any; the job to wait
        for."""
        if job_id is not None and begun.options.build_tree:
            await work.want_tree(begun.dataset_id)
            return job_id
        rewriting = await self._rewriting.request(work, begun.dataset_id, keys)
        return job_id or rewriting

    async def discard(self, tenant: TenantId, upload_id: UUID) -> None:
        """Raises UploadNotFound, UploadClosed."""
        async with self._open(tenant) as work:
            await self._still_open(work, upload_id, lock=True)
            await work.discard_upload(upload_id)
            await work.commit()

    @staticmethod
    async def _still_open(work: UploadsStorage, upload_id: UUID, *, lock: bool = False) -> OpenUpload:
        """Locked, a document is added before the commit or refused after it."""
        begun = await work.get_upload(upload_id, lock=lock)
        if begun.committed_at is not None:
            raise UploadClosed(job_id=begun.job_id.hex if begun.job_id is not None else None)
        return begun


def with_options(upload: Upload, options: UploadOptions) -> Upload:
    return replace(upload, **{field.name: getattr(options, field.name) for field in fields(options)})
