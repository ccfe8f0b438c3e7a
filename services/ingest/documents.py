"""Documents and their versions as an upload and its indexing write and read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.arrays import FloatArray
from services.domain import ChunkingParams, JsonObject, Refine


@dataclass(frozen=True, slots=True)
class NewDocument:
    """`tags` and `extra_meta` are what text and requests say together; `given` is what requests said."""

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
    links: tuple[str, ...] = ()
    given: JsonObject = field(default_factory=dict)
    synced: bool = False


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
class StoredDocument:
    """A document with its newest version that was not replaced, as an upload has to know it."""

    dataset_id: str
    doc_id: str
    deleted: bool
    given: JsonObject
    version_id: UUID
    checksum: str
    chunking: ChunkingParams
    embed_model: str
    chunk_count: int | None
    served: bool
    in_live_tree: bool
    build_tree: bool
    open_job: OpenJob | None


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is bringing a version in, and who pays for it, within what."""

    job_id: UUID
    payer: str
    budget: JsonObject


@dataclass(frozen=True, slots=True)
class PendingVersion:
    """A version that a job brings in; `characters` are those of its text."""

    version_id: UUID
    characters: int
    checksum: str
    refine: Refine
    embedded: bool
    build_tree: bool


@dataclass(frozen=True, slots=True)
class VersionToIndex:
    """`names` are what the document is called, from its folder to its aliases."""

    version_id: UUID
    dataset_id: str
    doc_id: str
    text: str
    checksum: str
    chunking: ChunkingParams
    build_tree: bool
    embedded_at: datetime | None
    names: tuple[str, ...] = ()
