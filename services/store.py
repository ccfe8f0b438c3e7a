"""What the flows ask of the database: a unit of work and the repositories it carries.

A unit of work is short: read, close, call a model, open, write, commit. What is not committed is rolled back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol, Self
from uuid import UUID

from services.catalog import Catalog
from services.domain import (
    Chunk,
    ChunkingParams,
    Dataset,
    EmbeddingSpace,
    Job,
    JobStatus,
    JobType,
    JsonObject,
    Leaf,
    Lease,
    PlannedNode,
    TenantId,
    Tree,
    VectorIndex,
    WrittenNode,
)
from services.ports import FloatArray
from services.postings import PostingLists
from services.search import Search
from services.usage import Ledger

# What is written.


@dataclass(frozen=True, slots=True)
class NewDocument:
    dataset_id: str
    doc_id: str
    identity: str
    file_name: str | None
    title: str | None
    source: str | None
    tags: tuple[str, ...]
    extra_meta: JsonObject
    checksum: str
    text: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    dataset_id: str
    doc_id: str
    checksum: str
    text: str
    title: str | None
    embed_model: str
    chunking: ChunkingParams
    build_tree: bool


@dataclass(frozen=True, slots=True)
class NewVector:
    owner_type: Literal["chunk", "tree_node"]
    owner_id: UUID
    generation_id: UUID
    level: int
    content_key: bytes
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class NewJob:
    job_type: JobType
    dataset_id: str
    doc_id: str | None
    version_id: UUID | None
    params: JsonObject


# What is read.


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with its newest version, as an upload has to know it."""

    dataset_id: str
    doc_id: str
    deleted: bool
    version_id: UUID
    checksum: str
    chunking: ChunkingParams
    embed_model: str
    chunk_count: int | None
    served: bool
    in_live_tree: bool
    open_job_id: UUID | None


@dataclass(frozen=True, slots=True)
class VersionToIndex:
    version_id: UUID
    dataset_id: str
    doc_id: str
    text: str
    checksum: str
    chunking: ChunkingParams
    build_tree: bool
    embedded_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredLevel:
    """A level of a tree that is being built, as an earlier attempt committed it."""

    level: int
    planned: tuple[PlannedNode, ...]
    written: Mapping[UUID, WrittenNode]


class Datasets(Protocol):
    async def open(self, dataset_id: str, space: EmbeddingSpace, vector_index: VectorIndex) -> Dataset:
        """The dataset, made if it is not there, locked until the end of the unit of work."""
        ...

    async def get(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def settle(self, dataset_id: str, *, vector_index: VectorIndex | None, settings: JsonObject) -> None:
        """Changes what was asked for by name and leaves the rest."""
        ...

    async def delete(self, dataset_id: str) -> None:
        """Raises DatasetNotFound."""
        ...

    async def want_tree(self, dataset_id: str) -> int:
        """Notes that the tree is behind its documents; the revision that a tree has to reach to hold them."""
        ...


class Documents(Protocol):
    async def find(self, dataset_id: str, identity: str) -> StoredDocument | None: ...

    async def with_checksum(self, dataset_id: str, checksum: str) -> StoredDocument | None: ...

    async def put(self, document: NewDocument) -> None:
        """Adds the document, or brings what describes it up to date; its text changes when a version takes over."""
        ...

    async def add_version(self, version: NewVersion) -> UUID: ...

    async def resume_version(self, version_id: UUID, *, build_tree: bool) -> None: ...

    async def version_to_index(self, version_id: UUID) -> VersionToIndex:
        """Raises DocumentNotFound."""
        ...

    async def chunks_of(self, version_id: UUID) -> list[Chunk]: ...

    async def served_chunks(self, dataset_id: str, chunk_ids: Sequence[UUID]) -> list[Chunk]:
        """Those of the chunks that are served, in no order."""
        ...

    async def add_chunks(self, version: VersionToIndex, chunks: Sequence[Chunk]) -> None: ...

    async def mark_embedded(self, version_id: UUID, chunk_count: int) -> None: ...

    async def fail_version(self, version_id: UUID) -> None:
        """A version that was never embedded has failed; one that was stays as it is."""
        ...

    async def take_over(self, version_ids: Collection[UUID]) -> None:
        """From now on these versions are served: what they replace is superseded, and no longer found."""
        ...

    async def delete(self, dataset_id: str, doc_id: str, *, hard: bool) -> None:
        """Raises DocumentNotFound."""
        ...


class Vectors(Protocol):
    async def reuse(
        self, dataset_id: str, generation_id: UUID, keys: Mapping[UUID, bytes], space: EmbeddingSpace
    ) -> set[UUID]:
        """Gives chunks whose text was embedded before in this space the vector of then; the owners that have one."""
        ...

    async def add(self, dataset_id: str, space: EmbeddingSpace, vectors: Sequence[NewVector]) -> None: ...

    async def known(self, keys: Collection[bytes], space: EmbeddingSpace) -> dict[bytes, FloatArray]:
        """Vectors of texts that were embedded before in this space, by content key."""
        ...

    async def stored(self, keys: Collection[bytes], space: EmbeddingSpace) -> set[bytes]:
        """Those of the keys whose vectors are known."""
        ...

    def of_chunks(self, chunk_ids: Sequence[UUID], space: EmbeddingSpace) -> AsyncIterator[FloatArray]:
        """Blocks of rows in the order of the ids. Raises VectorStoreError where one is missing."""
        ...


class Postings(Protocol):
    async def add(self, dataset_id: str, generation_id: UUID, lists: PostingLists) -> None:
        """What BM25 counts in a version's chunks or in a level of a tree."""
        ...


class Trees(Protocol):
    async def build_set(self, dataset_id: str) -> tuple[list[Leaf], list[UUID]]:
        """The leaves that a tree built now would stand on, in reading order, and the versions they belong to."""
        ...

    async def live(self, dataset_id: str) -> Tree | None: ...

    async def building(self, dataset_id: str, fingerprint: str) -> Tree | None: ...

    async def abandon(self, dataset_id: str) -> None:
        """No tree of the dataset is under construction any more; what there is of it is cleared away later."""
        ...

    async def begin(self, tree: Tree, leaves: Sequence[Leaf]) -> None: ...

    async def levels(self, tree_id: UUID) -> list[StoredLevel]: ...

    async def plan_level(self, tree_id: UUID, level: int, nodes: Sequence[PlannedNode], stats: JsonObject) -> None:
        """Commits what will be asked for, before the first summary is paid."""
        ...

    async def write_level(self, tree_id: UUID, level: int, nodes: Sequence[WrittenNode], stats: JsonObject) -> None: ...

    async def leaf_texts(self, chunk_ids: Collection[UUID]) -> dict[UUID, str]: ...

    async def leaves(self, tree_id: UUID) -> list[Leaf]:
        """The leaves of a tree, in its reading order."""
        ...

    async def stale(self, tree_id: UUID) -> bool:
        """Whether anything that the tree was written from is deleted or superseded."""
        ...

    async def publish(
        self, tree_id: UUID, dataset_id: str, revision: int, version_ids: Collection[UUID], stats: JsonObject
    ) -> None:
        """Makes the tree the live one and its versions the served ones."""
        ...

    async def unpublish(self, dataset_id: str, revision: int) -> None:
        """The dataset has no tree any more: nothing is left to make one of."""
        ...

    async def clear_away(self, dataset_id: str, keep_fingerprint: str | None) -> int:
        """Removes what abandoned builds and superseded trees left; how many trees that were."""
        ...


class Jobs(Protocol):
    async def start(self, job: NewJob) -> UUID:
        """Adds the job and its place in the queue."""
        ...

    async def request_build(self, dataset_id: str, *, at_once: bool = False, limits: JsonObject | None = None) -> UUID:
        """The build that will hold all that the dataset has now: the one that waits already, or a new one. `limits`,
        a `budget` and what was `spent` of it, take the place of those of the one that waits."""
        ...

    async def get(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        ...

    async def claim(self, job_id: UUID) -> tuple[Job, Lease] | None:
        """Begins an attempt; None if there is nothing left to do."""
        ...

    async def postpone(self, job_id: UUID, delay_s: float) -> None: ...

    async def indexing(self, dataset_id: str) -> int:
        """How many uploads that want a tree are not embedded yet."""
        ...

    async def report(self, lease: Lease, stage: str, progress: float, figures: JsonObject) -> None: ...

    async def await_tree(self, lease: Lease, revision: int, result: JsonObject, figures: JsonObject) -> None:
        """The upload's own work is done; it ends with the build that reaches this revision."""
        ...

    async def succeed(self, lease: Lease, result: JsonObject, figures: JsonObject) -> None: ...

    async def secrets(self, job_id: UUID) -> Mapping[str, bytes]:
        """Sealed keys by provider."""
        ...

    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None: ...

    async def running_build(self, dataset_id: str) -> UUID | None: ...

    async def cancel(self, job_id: UUID) -> None:
        """Raises JobNotFound."""
        ...

    async def retry(self, job_id: UUID, budget: JsonObject) -> UUID:
        """The job that goes on: this one, or for a build the next one. Limits in `budget` take the place of the
        job's own; what it used counts. Raises JobNotFound, VersionConflict."""
        ...

    async def finish_waiting(self, dataset_id: str, revision: int, tree_name: str | None) -> None:
        """The uploads that waited for a tree of this revision have succeeded."""
        ...

    async def fail(self, lease: Lease, status: JobStatus, error: JsonObject, figures: JsonObject) -> None:
        """The job has failed, and with a build the uploads that waited for it."""
        ...


class UnitOfWork(Protocol):
    tenant: TenantId
    datasets: Datasets
    documents: Documents
    vectors: Vectors
    postings: Postings
    trees: Trees
    jobs: Jobs
    search: Search
    catalog: Catalog
    ledger: Ledger

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(self) -> None:
        """Raises LeaseLost if the unit was opened for a lease that is not current any more."""
        ...


class OpenUnitOfWork(Protocol):
    def __call__(self, tenant: TenantId, lease: Lease | None = None, *, snapshot: bool = False) -> UnitOfWork:
        """With `snapshot` all statements see the database as it is at the first, and none may write."""
        ...
