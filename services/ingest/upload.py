"""The gate: bytes become a stored document, a version to index and a job, in one transaction."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol
from uuid import UUID

from services.cost.budget import Budget, CallContext, Keys
from services.domain import (
    ChunkingParams,
    Dataset,
    EmbeddingSpace,
    JsonObject,
    Refine,
    TenantId,
    UpsertMode,
    VectorIndex,
)
from services.errors import MissingProviderKey, RefinementNeedsModel, UnknownModel, UnsupportedFileType
from services.ingest.documents import NewDocument, NewVersion, StoredDocument
from services.ingest.reader import Reader, SourceText
from services.jobs.job import NewJob
from services.jobs.limits import JobLimits
from services.jobs.secrets import SecretBox, bring_keys
from services.models.registry import AUTO, Models
from services.storage import OpenStorage, UnitOfWork
from services.tree.nodes import tree_name


class UploadStorage(UnitOfWork, Protocol):
    """What an upload asks of storage."""

    async def open_dataset(self, dataset_id: str, space: EmbeddingSpace, vector_index: VectorIndex) -> Dataset:
        """The dataset, made if it is not there, locked until the end of the unit of work."""
        ...

    async def change_dataset(self, dataset_id: str, *, vector_index: VectorIndex | None, settings: JsonObject) -> None:
        """Changes what was asked for by name and leaves the rest."""
        ...

    async def find_document(self, dataset_id: str, identity: str) -> StoredDocument | None: ...

    async def find_checksum(self, dataset_id: str, checksum: str) -> StoredDocument | None: ...

    async def put_document(self, document: NewDocument) -> None:
        """Adds the document, or brings what describes it up to date; its text changes when a version takes over."""
        ...

    async def add_version(self, version: NewVersion) -> UUID: ...

    async def resume_version(self, version_id: UUID, *, build_tree: bool) -> None: ...

    async def start_job(self, job: NewJob) -> UUID:
        """Adds the job and its place in the queue."""
        ...

    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class Upload:
    """One document as a client sends it."""

    dataset_id: str
    data: bytes
    file_name: str | None = None
    doc_id: str | None = None
    source: str | None = None
    tags: Sequence[str] = ()
    extra_meta: JsonObject = field(default_factory=dict)
    build_tree: bool = True
    summary_llm: str | None = None
    vector_index: VectorIndex | None = None
    upsert_mode: UpsertMode = "upsert"
    chunking: ChunkingParams = ChunkingParams()
    keys: Keys = field(default_factory=Keys)
    budget: Budget = Budget()

    @property
    def identity(self) -> str | None:
        """What makes this the same document as an earlier upload; None: it is a new one."""
        if self.doc_id:
            return f"id:{self.doc_id}"
        if self.source:
            return f"source:{self.source}"
        return f"file:{self.file_name}" if self.file_name else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an upload: `queued` work, or nothing to do. `chunks` and `tree_id` are known in the latter."""

    status: Literal["queued", "unchanged", "skipped"]
    doc_id: str
    dataset_id: str
    checksum: str
    version_id: UUID | None = None
    job_id: UUID | None = None
    chunks: int = 0
    tree_id: str | None = None
    warnings: tuple[str, ...] = ()


def same_processing(stored: StoredDocument, upload: Upload, checksum: str, embed_model: str) -> bool:
    """Whether the upload is what is stored already, content and parameters."""
    # What was refined by somebody's key, or without one, is not done again because the next caller brings another.
    refine = stored.chunking.refine if upload.chunking.refine == "auto" else upload.chunking.refine
    chunking = replace(upload.chunking, refine=refine)
    return stored.checksum == checksum and stored.chunking == chunking and stored.embed_model == embed_model


class DocumentIngestor:
    """Decides what an upload means for its dataset. Pays nothing: all that costs is left to the job."""

    def __init__(
        self,
        open_storage: OpenStorage[UploadStorage],
        readers: Mapping[str, Reader],
        models: Models,
        secrets: SecretBox,
        default_vector_index: VectorIndex,
    ) -> None:
        self._open = open_storage
        self._readers = readers
        self._models = models
        self._secrets = secrets
        self._default_vector_index = default_vector_index

    async def ingest(self, tenant: TenantId, upload: Upload) -> Accepted:
        """Raises UnsupportedFileType, InvalidEncoding, EmptyDocument, UnknownModel, MissingProviderKey,
        RefinementNeedsModel."""
        note = self._models.resolve_chat(upload.summary_llm).note if upload.summary_llm else ""
        source = self._reader_for(upload.file_name).read(upload.data)
        checksum = hashlib.sha256(upload.data).hexdigest()
        space = await self._models.space(None, CallContext(tenant, upload.dataset_id, keys=upload.keys))
        async with self._open(tenant) as work:
            accepted = await self._decide(work, upload, source, checksum, space)
            await work.commit()
        return replace(accepted, warnings=(note,)) if note else accepted

    async def _decide(
        self, work: UploadStorage, upload: Upload, source: SourceText, checksum: str, space: EmbeddingSpace
    ) -> Accepted:
        dataset = await self._open_dataset(work, upload, space)
        refine = self._refine(upload, dataset, CallContext(work.tenant, upload.dataset_id, keys=upload.keys))
        if upload.upsert_mode == "skip_duplicates":
            twin = await work.find_checksum(upload.dataset_id, checksum)
            if twin is not None:
                return self._nothing_to_do("skipped", twin, dataset)
        await work.change_dataset(
            upload.dataset_id,
            vector_index=upload.vector_index,
            settings={"summary_llm": upload.summary_llm} if upload.summary_llm else {},
        )
        identity = upload.identity or f"id:{uuid.uuid4().hex}"
        stored = await work.find_document(upload.dataset_id, identity)
        document = self._document(upload, source, checksum, identity, stored)
        await work.put_document(document)

        if (
            stored is None
            or stored.deleted
            or upload.upsert_mode == "replace"
            or not same_processing(stored, upload, checksum, dataset.space.name)
        ):
            version_id = await work.add_version(
                NewVersion(
                    dataset_id=document.dataset_id,
                    doc_id=document.doc_id,
                    checksum=checksum,
                    text=source.text,
                    title=source.title,
                    embed_model=dataset.space.name,
                    chunking=replace(upload.chunking, refine=refine),
                    build_tree=upload.build_tree,
                )
            )
        elif stored.served and (stored.in_live_tree or not upload.build_tree):
            return self._nothing_to_do("unchanged", stored, dataset)
        elif stored.open_job_id is not None:
            return self._queued(document, stored.version_id, stored.open_job_id)
        else:
            version_id = stored.version_id
            await work.resume_version(version_id, build_tree=upload.build_tree)
        job_id = await work.start_job(
            NewJob(
                job_type="ingest",
                dataset_id=document.dataset_id,
                doc_id=document.doc_id,
                version_id=version_id,
                params=JobLimits(upload.budget).as_params(),
            )
        )
        await bring_keys(work, self._secrets, job_id, upload.keys)
        return self._queued(document, version_id, job_id)

    async def _open_dataset(self, work: UploadStorage, upload: Upload, space: EmbeddingSpace) -> Dataset:
        """Made in this space if it is not there yet. Its row is locked from here on: of two uploads of one document at
        once, one sees the other."""
        context = CallContext(work.tenant, upload.dataset_id, keys=upload.keys)
        dataset = await work.open_dataset(upload.dataset_id, space, upload.vector_index or self._default_vector_index)
        # A key that is missing is told now, not by a job that fails later.
        self._models.embedder(dataset.space, context)
        if upload.build_tree:
            self._models.check(self._chat(upload, dataset), context)
        return dataset

    @staticmethod
    def _chat(upload: Upload, dataset: Dataset) -> str:
        return str(upload.summary_llm or dataset.settings.get("summary_llm", AUTO))

    def _refine(self, upload: Upload, dataset: Dataset, context: CallContext) -> Refine:
        """`auto` asks a model where there is one to ask. Raises RefinementNeedsModel, MissingProviderKey."""
        wanted, chat = upload.chunking.refine, self._chat(upload, dataset)
        if wanted not in ("auto", "llm"):
            return wanted
        try:
            self._models.chat(self._models.chosen_chat(chat, context), context)
        except UnknownModel:
            if wanted == "llm":
                raise RefinementNeedsModel from None
            return "off"
        except MissingProviderKey:
            if wanted == "llm":
                raise
            return "off"
        return "llm"

    def _reader_for(self, file_name: str | None) -> Reader:
        suffix = ".md" if file_name is None else "." + file_name.lower().rpartition(".")[2]
        reader = self._readers.get(suffix)
        if reader is None:
            raise UnsupportedFileType(file_name=(file_name or "")[:200])
        return reader

    @staticmethod
    def _document(
        upload: Upload, source: SourceText, checksum: str, identity: str, stored: StoredDocument | None
    ) -> NewDocument:
        kind, _, value = identity.partition(":")
        new_id = value if kind == "id" else uuid.uuid4().hex
        return NewDocument(
            dataset_id=upload.dataset_id,
            doc_id=stored.doc_id if stored is not None else new_id,
            identity=identity,
            file_name=upload.file_name,
            title=source.title,
            source=upload.source,
            tags=tuple(upload.tags),
            extra_meta=upload.extra_meta,
            checksum=checksum,
            text=source.text,
        )

    @staticmethod
    def _nothing_to_do(status: Literal["unchanged", "skipped"], stored: StoredDocument, dataset: Dataset) -> Accepted:
        in_tree = dataset.live_tree_id is not None and stored.in_live_tree
        return Accepted(
            status=status,
            doc_id=stored.doc_id,
            dataset_id=stored.dataset_id,
            checksum=stored.checksum,
            version_id=stored.version_id,
            chunks=stored.chunk_count or 0,
            tree_id=tree_name(dataset.live_tree_id) if in_tree and dataset.live_tree_id else None,
        )

    @staticmethod
    def _queued(document: NewDocument, version_id: UUID, job_id: UUID) -> Accepted:
        return Accepted("queued", document.doc_id, document.dataset_id, document.checksum, version_id, job_id)
