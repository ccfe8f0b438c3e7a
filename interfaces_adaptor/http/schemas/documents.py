"""Documents, versions and datasets in responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from interfaces_adaptor.http.schemas.envelope import Hex, Strict
from interfaces_adaptor.http.schemas.trees import LiveTreeOut
from interfaces_adaptor.repositories.dataset_entries import DatasetEntry
from interfaces_adaptor.repositories.document_entries import DocumentEntry
from services.documents import DocumentState
from services.domain import DocumentVersion, VectorIndex
from services.tree.params import tree_ranges


class DocumentOut(BaseModel):
    doc_id: str
    dataset_id: str
    file_name: str | None
    title: str | None
    source: str | None
    tags: list[str]
    extra_meta: dict[str, Any]
    checksum: str
    status: str
    version_id: Hex | None
    chunks: int
    bytes: int = Field(description="Of its text in UTF-8.")
    mime_type: Literal["text/markdown"] = "text/markdown"
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, entry: DocumentEntry, **more: Any) -> DocumentOut:
        document = entry.document
        return cls(
            doc_id=document.doc_id,
            dataset_id=document.dataset_id,
            file_name=document.file_name,
            title=document.title,
            source=document.source,
            tags=list(document.tags),
            extra_meta=dict(document.extra_meta),
            checksum=document.checksum,
            status=entry.status,
            version_id=entry.version_id,
            chunks=entry.chunks,
            bytes=entry.bytes,
            created_at=document.created_at,
            updated_at=document.updated_at,
            **more,
        )


class DocumentWithText(DocumentOut):
    """All offsets of the served version are character offsets into the document's text, of which `text` is the range
    from `start` to `end`."""

    text: str
    start: int
    end: int
    characters: int = Field(description="Of the whole text.")


Values = str | list[str]


class DocumentPatch(Strict):
    """What is not mentioned stays, `null` clears. `tags` are replaced as a whole; of `meta` (in answers: `extra_meta`)
    each key by itself, as JSON Merge Patch (RFC 7396) has it."""

    tags: list[str] | None = None
    meta: dict[str, Any] | None = None
    source: str | None = None


class SourcePrefix(Strict):
    prefix: str = Field(min_length=1, max_length=2_000)


class DocumentFilterBody(Strict):
    """All that is named has to hold; a list matches any of its values."""

    doc_id: Values | None = None
    tags: Values | None = None
    source: Values | SourcePrefix | None = None
    state: DocumentState | list[DocumentState] | None = None
    title: str | None = Field(None, min_length=1, max_length=1_000, description="A part of it, in any case of letters.")


class DeleteDocumentsBody(Strict):
    """`dry_run` only says which documents the filter chooses; `hard` erases them, as of a single document, and those of
    them that are deleted already too."""

    dataset_id: str | None = None
    database_id: str | None = None
    filter: DocumentFilterBody
    dry_run: bool = False
    hard: bool = False


class DocumentsDeleted(BaseModel):
    dataset_id: str
    dry_run: bool
    documents: int = Field(description="How many the filter chooses.")
    doc_ids: list[str] = Field(description="The first of them, the oldest first.")
    job_id: Hex | None


class VersionOut(BaseModel):
    version_id: Hex
    number: int
    state: str
    checksum: str
    embed_model: str
    chunker: str
    chunk_size: int
    chunk_overlap: int
    refine: str
    chunks: int | None
    created_at: datetime
    embedded_at: datetime | None
    ready_at: datetime | None
    superseded_at: datetime | None

    @classmethod
    def of(cls, version: DocumentVersion) -> VersionOut:
        return cls(
            version_id=version.version_id,
            number=version.number,
            state=version.state,
            checksum=version.checksum,
            embed_model=version.embed_model,
            chunker=version.chunking.chunker,
            chunk_size=version.chunking.size,
            chunk_overlap=version.chunking.overlap,
            refine=version.chunking.refine,
            chunks=version.chunk_count,
            created_at=version.created_at,
            embedded_at=version.embedded_at,
            ready_at=version.ready_at,
            superseded_at=version.superseded_at,
        )


class Staleness(BaseModel):
    """How far the tree lags behind: changes not yet in a tree, and served documents outside it."""

    stale: bool
    changes: int
    documents_outside_tree: int


class DatasetFields(Strict):
    name: str | None = Field(None, max_length=200, description="Shown to people; the id stays.")
    description: str | None = Field(None, max_length=4_000)
    vector_index: VectorIndex | None = None
    settings: dict[str, Any] | None = Field(
        None,
        description=(
            "For later uploads and builds: `refine` (`auto`, `off`, `heuristic`, `llm`), `summary_llm`, `grouper`, "
            + ", ".join(f"`{name}` ({wanted})" for name, wanted in tree_ranges().items())
            + ". Null: the service's."
        ),
    )


class PutDatasetBody(DatasetFields):
    """The dataset as it is to be: what is not mentioned is empty, except `embed_model` and `vector_index`, which stay.
    `embed_model` is chosen when the dataset is made, for good; without it, the keys at hand choose."""

    embed_model: str | None = Field(None, min_length=1, max_length=300)


class PatchDatasetBody(DatasetFields):
    """What is not mentioned stays, `null` clears; of `settings` each one by itself."""


class DatasetOut(BaseModel):
    dataset_id: str
    name: str | None
    description: str | None
    documents: int
    chunks: int
    embedding_model: str
    dimensions: int
    vector_index: str
    settings: dict[str, Any]
    live_tree: LiveTreeOut | None
    tree_status: Literal["none", "building", "live", "behind"] = Field(
        description="`behind`: documents changed since; the tree that is live answers meanwhile."
    )
    generation: int | None = Field(
        description="Number of what is live in the dataset's history: 1, 2, 3, …; it grows with every switch."
    )
    regret: float | None = Field(
        description=(
            "How much larger than after the last clustering of the whole the share of passages is that such a"
            " clustering would group otherwise. 0.02: two in a hundred more; null: not measured."
        )
    )
    lag: float | None = Field(
        description=(
            "How far a summary's text may be behind: of all summaries, the largest share of the passages under one"
            " that its text was not written from. 0: every text has seen all that is under it; null: not measured."
        )
    )
    summaries_waiting: int = Field(
        description=(
            "Summaries of the live tree that are not shown, because they told of text that is deleted or replaced,"
            " until the next build writes them anew."
        )
    )
    summaries_waiting_share: float = Field(description="Their share of the tree's summaries, 0 to 1.")
    degraded: int = Field(
        description="Summaries that were written without their model, because it failed; `retry-nodes` rewrites them."
    )
    needs_key: bool = Field(
        description="Summaries wait to be written anew, for a caller who brings the key of the tree's model."
    )
    embedding_status: Literal["not_started", "pending", "running", "done", "failed"]
    embedding_progress: float
    embedding_error: dict[str, Any] | None
    staleness: Staleness
    usage: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, entry: DatasetEntry) -> DatasetOut:
        changes = entry.wanted_revision - entry.built_revision
        stats = entry.live_tree.stats if entry.live_tree else {}
        without = "building" if changes > 0 else "none"
        return cls(
            dataset_id=entry.dataset_id,
            name=entry.name,
            description=entry.description,
            documents=entry.documents,
            chunks=entry.chunks,
            embedding_model=entry.space.name,
            dimensions=entry.space.dimensions,
            vector_index=entry.vector_index,
            settings=dict(entry.settings),
            live_tree=LiveTreeOut.of(entry.live_tree) if entry.live_tree else None,
            tree_status=("behind" if changes > 0 else "live") if entry.live_tree else without,
            generation=entry.generation,
            needs_key=entry.needs_key,
            regret=stats.get("regret"),
            lag=stats.get("lag"),
            summaries_waiting=entry.summaries_waiting,
            summaries_waiting_share=round(entry.summaries_waiting / max(entry.summaries, 1), 4),
            degraded=stats.get("degraded", 0),
            embedding_status=entry.embedding_status,
            embedding_progress=round(entry.embedding_progress, 4),
            embedding_error=dict(entry.embedding_error) if entry.embedding_error else None,
            staleness=Staleness(
                stale=changes > 0 or entry.documents_outside_tree > 0,
                changes=changes,
                documents_outside_tree=entry.documents_outside_tree,
            ),
            usage=dict(entry.usage),
            created_at=entry.created_at,
            updated_at=entry.updated_at,
        )
