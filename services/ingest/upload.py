"""The gate: bytes become stored documents, versions to index and one job for them, in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from services.cost.budget import Budget, CallContext, Keys
from services.datasets import better_embedder_note, refuse_other_space
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
from services.errors import RaptorError
from services.ingest.documents import NewDocument, NewVersion, OpenJob, StoredDocument
from services.ingest.given import NOTHING, as_described, given_by
from services.ingest.reader import Reader, SourceText, reader_for
from services.ingest.refining import refined_by
from services.ingest.upload_storage import UploadStorage
from services.jobs.job import NewJob
from services.jobs.limits import JobLimits
from services.jobs.payer import have_same_keys, payer_of
from services.jobs.secrets import SecretBox, bring_keys
from services.models.registry import AUTO, Models
from services.storage import OpenStorage
from services.tree.nodes import tree_name
from services.tree.params import TreeParams
from services.tree.writer import writer_of


@dataclass(frozen=True, slots=True)
class Upload:
    """One document as a client sends it. What it does not mention (`tags`, `extra_meta`: None) stays as it was; it is
    `synced` if it is a file of the folder that the dataset is kept equal to. `refine` is what the request says of it;
    `chunking` has the service's own. `embed_model` is that of the dataset, and `tree` are parameters of its tree that
    stay with it."""

    dataset_id: str
    data: bytes
    file_name: str | None = None
    doc_id: str | None = None
    source: str | None = None
    tags: Sequence[str] | None = None
    extra_meta: JsonObject | None = None
    synced: bool = False
    build_tree: bool = True
    summary_llm: str | None = None
    vector_index: VectorIndex | None = None
    upsert_mode: UpsertMode = "upsert"
    chunking: ChunkingParams = ChunkingParams()
    refine: Refine | None = None
    embed_model: str | None = None
    tree: JsonObject = field(default_factory=dict)
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
    """What became of an upload: `queued` work, or nothing to do. `chunks` and `tree_id` are known in the latter.
    `replaced` is the version of before, where the document was there already with another content or parameters."""

    status: Literal["queued", "unchanged", "skipped"]
    doc_id: str
    dataset_id: str
    checksum: str
    version_id: UUID | None = None
    job_id: UUID | None = None
    chunks: int = 0
    tree_id: str | None = None
    replaced: UUID | None = None
    source: str | None = None
    warnings: tuple[str, ...] = ()


def with_settings(upload: Upload, dataset: Dataset) -> Upload:
    """Refined as the request says, else as the dataset does, else as the service does."""
    refine = upload.refine or dataset.settings.get("refine") or upload.chunking.refine
    return replace(upload, chunking=replace(upload.chunking, refine=refine))


def same_processing(stored: StoredDocument, upload: Upload, checksum: str, embed_model: str) -> bool:
    """Whether the upload is what is stored already, content and parameters."""
    # What was refined by somebody's key, or without one, is not done again because the next caller brings another.
    refine = stored.chunking.refine if upload.chunking.refine == "auto" else upload.chunking.refine
    chunking = replace(upload.chunking, refine=refine)
    return stored.checksum == checksum and stored.chunking == chunking and stored.embed_model == embed_model


def shares_work(stored: StoredDocument, open_job: OpenJob, upload: Upload) -> bool:
    """Whether the upload is served by the work on the same content that is under way: paid with the same keys, within
    the same limits, and for the tree if it wants to be in it."""
    payer = payer_of(upload.keys, upload.budget)
    same_purse = have_same_keys(open_job.payer, payer) and open_job.budget == upload.budget.as_json()
    return same_purse and (stored.build_tree or not upload.build_tree)


@dataclass(frozen=True, slots=True)
class ReadUpload:
    """An upload whose bytes are known to be a text."""

    upload: Upload
    source: SourceText
    checksum: str


@dataclass(slots=True)
class Admission:
    """What the uploads of one transaction mean for their dataset: what is new needs a job, which takes the place of
    those jobs that have nothing left to do."""

    dataset: Dataset
    note: str = ""
    accepted: list[Accepted] = field(default_factory=list)
    superseded_jobs: list[UUID] = field(default_factory=list)

    @property
    def versions(self) -> list[UUID]:
        """Those that need a job."""
        waiting = (one for one in self.accepted if one.status == "queued" and one.job_id is None)
        return [one.version_id for one in waiting if one.version_id is not None]


class DocumentIngestor:
    """Decides what uploads mean for their dataset. Pays nothing: all that costs is left to the job."""

    def __init__(
        self,
        open_storage: OpenStorage[UploadStorage],
        readers: Mapping[str, Reader],
        models: Models,
        secrets: SecretBox,
        default_vector_index: VectorIndex,
        tree_params: TreeParams,
    ) -> None:
        self._open = open_storage
        self._tree_params = tree_params
        self._readers = readers
        self._models = models
        self._secrets = secrets
        self._default_vector_index = default_vector_index

    async def ingest(self, tenant: TenantId, upload: Upload) -> Accepted:
        """Raises UnsupportedFileType, InvalidEncoding, EmptyDocument, UnknownModel, MissingProviderKey,
        RefinementNeedsModel."""
        accepted, _ = await self.ingest_all(tenant, [upload])
        return accepted[0]

    async def ingest_all(self, tenant: TenantId, uploads: Sequence[Upload]) -> tuple[list[Accepted], UUID | None]:
        """Documents of one request, all of them or none, and the job for what is new in them. Raises what `ingest`
        does; `details.position` says which document it is about."""
        read = await asyncio.to_thread(self._read_all, uploads)
        space = await self.space(tenant, uploads[0])
        async with self._open(tenant) as work:
            admission = await self.open(work, uploads[0], space)
            await self.admit(work, admission, read)
            job_id = await self.start(work, admission, uploads[0])
            await work.commit()
        return admission.accepted, job_id

    def _read_all(self, uploads: Sequence[Upload]) -> list[ReadUpload]:
        read = []
        for position, upload in enumerate(uploads):
            try:
                read.append(self.read(upload))
            except RaptorError as error:
                if len(uploads) > 1:
                    error.details |= {"position": position}
                raise
        return read

    def read(self, upload: Upload) -> ReadUpload:
        """Raises UnsupportedFileType, InvalidEncoding, EmptyDocument."""
        source = reader_for(self._readers, upload.file_name).read(upload.data)
        return ReadUpload(upload, source, hashlib.sha256(upload.data).hexdigest())

    async def space(self, tenant: TenantId, upload: Upload) -> EmbeddingSpace:
        """That of the dataset if it is to be made; a model may have to be asked, so before a unit of work. Raises
        UnknownModel, MissingProviderKey, ProviderError."""
        return await self._models.space(upload.embed_model, CallContext(tenant, upload.dataset_id, keys=upload.keys))

    async def open(self, work: UploadStorage, upload: Upload, space: EmbeddingSpace) -> Admission:
        """The dataset that uploads like this one go to, made in `space` if it is not there. Raises UnknownModel,
        MissingProviderKey, EmbeddingSpaceConflict where it has another embedder, InvalidRequest for parameters of the
        tree that cannot be."""
        context = CallContext(work.tenant, upload.dataset_id, keys=upload.keys)
        dataset = await self._open_dataset(work, upload, space)
        self._tree_params.changed(upload.tree, dataset.settings if upload.tree else {})
        chosen = upload.embed_model is not None
        return Admission(dataset, "" if chosen else better_embedder_note(self._models, dataset, context))

    async def admit(self, work: UploadStorage, admission: Admission, uploads: Sequence[ReadUpload]) -> None:
        """Raises RefinementNeedsModel, MissingProviderKey."""
        for read in uploads:
            accepted = await self._decide(work, admission, read)
            admission.accepted.append(replace(accepted, warnings=read.source.warnings))

    async def start(self, work: UploadStorage, admission: Admission, upload: Upload) -> UUID | None:
        """The job for all that was admitted, on the keys and the budget of `upload`; where none of it is new, the one
        job under way that brings it in, or None."""
        job_id: UUID | None
        if versions := admission.versions:
            single = admission.accepted[0] if len(admission.accepted) == 1 else None
            job_id = await work.start_job(
                NewJob(
                    job_type="ingest",
                    dataset_id=admission.dataset.dataset_id,
                    doc_id=single.doc_id if single is not None else None,
                    version_id=single.version_id if single is not None else None,
                    payer=payer_of(upload.keys, upload.budget),
                    params=JobLimits(upload.budget).as_params(),
                )
            )
            await work.assign_versions(versions, job_id)
            await work.end_superseded(admission.superseded_jobs, job_id)
            await bring_keys(work, self._secrets, job_id, upload.keys)
        else:
            under_way = {one.job_id for one in admission.accepted if one.status == "queued"}
            job_id = under_way.pop() if len(under_way) == 1 else None
        note = self._models.resolve_chat(upload.summary_llm).note if upload.summary_llm else ""
        notes = tuple(told for told in (note, admission.note) if told)
        admission.accepted = [
            replace(
                one,
                job_id=one.job_id or (job_id if one.status == "queued" else None),
                warnings=(*notes, *one.warnings),
            )
            for one in admission.accepted
        ]
        return job_id

    async def _decide(self, work: UploadStorage, admission: Admission, read: ReadUpload) -> Accepted:
        dataset = admission.dataset
        upload = with_settings(read.upload, dataset)
        context = CallContext(work.tenant, upload.dataset_id, keys=upload.keys)
        refine = refined_by(self._models, upload.chunking.refine, self._chat(upload, dataset), context)
        if upload.upsert_mode == "skip_duplicates":
            twin = await work.find_checksum(upload.dataset_id, read.checksum)
            if twin is not None:
                return self._nothing_to_do("skipped", twin, dataset)
        named = {"summary_llm": upload.summary_llm} if upload.summary_llm else {}
        if upload.vector_index or named or upload.tree:
            await work.change_dataset(
                upload.dataset_id,
                vector_index=upload.vector_index,
                settings={**named, **upload.tree},
            )
        identity = upload.identity or f"id:{uuid.uuid4().hex}"
        stored = await work.find_document(upload.dataset_id, identity)
        before = stored.given if stored is not None and not stored.deleted else NOTHING
        given = given_by(upload.tags, upload.extra_meta, before)
        source = as_described(read.source, given, upload.file_name, upload.source)
        document = self._document(replace(read, source=source), identity, stored, given)
        await work.put_document(document)
        if stored is not None and stored.deleted:
            # What was deleted does not come back with the document: it begins anew with this text.
            await work.retire_served(document.dataset_id, document.doc_id)
        if (
            stored is None
            or stored.deleted
            or upload.upsert_mode == "replace"
            or not same_processing(stored, upload, read.checksum, dataset.space.name)
            or (stored.open_job is not None and not shares_work(stored, stored.open_job, upload))
        ):
            admission.superseded_jobs += await work.give_way(document.dataset_id, document.doc_id)
            replaced = stored.version_id if stored is not None and not stored.deleted else None
            version_id = await work.add_version(
                NewVersion(
                    dataset_id=document.dataset_id,
                    doc_id=document.doc_id,
                    checksum=read.checksum,
                    text=document.text,
                    title=document.title,
                    embed_model=dataset.space.name,
                    chunking=replace(upload.chunking, refine=refine),
                    build_tree=upload.build_tree,
                )
            )
            return self._queued(document, version_id, None, replaced)
        if stored.open_job is not None:
            return self._queued(document, stored.version_id, stored.open_job.job_id)
        if stored.served and (stored.in_live_tree or not upload.build_tree):
            return replace(self._nothing_to_do("unchanged", stored, dataset), source=document.source)
        await work.resume_version(stored.version_id, build_tree=upload.build_tree)
        return self._queued(document, stored.version_id, None)

    async def _open_dataset(self, work: UploadStorage, upload: Upload, space: EmbeddingSpace) -> Dataset:
        """Made in this space if it is not there yet. Its row is locked from here on: of two uploads of one document at
        once, one sees the other."""
        context = CallContext(work.tenant, upload.dataset_id, keys=upload.keys)
        dataset = await work.open_dataset(upload.dataset_id, space, upload.vector_index or self._default_vector_index)
        if upload.embed_model is not None:
            refuse_other_space(dataset, space)
        # A key that is missing is told now, not by a job that fails later.
        self._models.embedder(dataset.space, context)
        if upload.build_tree:
            live = await work.live_tree(dataset.dataset_id)
            self._models.check(writer_of(self._models, self._chat(upload, dataset), live, context), context)
        return dataset

    @staticmethod
    def _chat(upload: Upload, dataset: Dataset) -> str:
        return str(upload.summary_llm or dataset.settings.get("summary_llm", AUTO))

    @staticmethod
    def _document(read: ReadUpload, identity: str, stored: StoredDocument | None, given: JsonObject) -> NewDocument:
        upload = read.upload
        kind, _, value = identity.partition(":")
        new_id = value if kind == "id" else uuid.uuid4().hex
        return NewDocument(
            dataset_id=upload.dataset_id,
            doc_id=stored.doc_id if stored is not None else new_id,
            identity=identity,
            file_name=upload.file_name,
            title=read.source.title,
            source=upload.source,
            tags=read.source.tags,
            extra_meta=read.source.meta,
            given=given,
            checksum=read.checksum,
            text=read.source.text,
            links=read.source.links,
            synced=upload.synced,
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
    def _queued(document: NewDocument, version_id: UUID, job_id: UUID | None, replaced: UUID | None = None) -> Accepted:
        return Accepted(
            status="queued",
            doc_id=document.doc_id,
            dataset_id=document.dataset_id,
            checksum=document.checksum,
            version_id=version_id,
            job_id=job_id,
            replaced=replaced,
            source=document.source,
        )
