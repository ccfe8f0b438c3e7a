"""Uploads and their responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import BudgetFields, Hex
from services.domain import Refine, UpsertMode, VectorIndex
from services.ingest.upload import Accepted
from services.jobs.job import Job
from services.tree.params import tree_ranges

REFINE = (
    "How chunks are refined: `heuristic` removes page numbers, repeated headers and menus; `llm` also asks the"
    " dataset's chat model what is noise and where topics begin; `auto` means `llm` if that model has a key, else"
    " `off`."
)


STAYS = "Of the dataset's trees, from the next build on."
RANGES = tree_ranges()
BOUNDS: dict[str, Any] = {name: {"ge": wanted.least, "le": wanted.most} for name, wanted in RANGES.items()}
REPLACED = (
    "The version that this upload takes the place of: the document was there already, by `doc_id`, `source` or file"
    " name. Null: it is new, or nothing was to be done."
)


class DocumentFields(BaseModel):
    """What is said of one document. What is left out (`tags`, and metadata) stays as it was; an empty list, and `{}`,
    remove it."""

    doc_id: str | None = None
    source: str | None = None
    tags: list[str] | None = None


class FileFields(DocumentFields):
    """A document as a file; `extra_meta` is a JSON object as text."""

    file: UploadFile = Field(description="Markdown in UTF-8; the name ends in .md, .markdown, .mdown, .mdx or .qmd.")
    extra_meta: str | None = None


class TextFields(DocumentFields):
    """A document in JSON."""

    text: str
    file_name: str | None = None
    metadata: dict[str, Any] | None = None


class ProcessingFields(BaseModel):
    """How documents are processed."""

    build_tree: bool = True
    summary_llm: str | None = None
    vector_index: VectorIndex | None = None
    upsert_mode: UpsertMode = "upsert"
    chunk_size: int | None = Field(None, ge=100, le=20_000)
    chunk_overlap: int | None = Field(None, ge=0)
    refine: Refine | None = Field(None, description=REFINE)
    embed_model: str | None = Field(
        None,
        max_length=300,
        description="Embedder of the dataset, chosen when it is made; another one than it has is refused with 409.",
    )
    levels_cap: int | None = Field(
        None, **BOUNDS["levels_cap"], description=f"{STAYS} Levels above the leaves: {RANGES['levels_cap']}."
    )
    min_k: int | None = Field(
        None, description=f"{STAYS} Fewest clusters of a level's global stage: {RANGES['min_k']}."
    )
    max_k: int | None = Field(
        None,
        **BOUNDS["max_k"],
        description=(
            f"{STAYS} Most clusters of one stage: of a level's global clustering, and of the local one within each of"
            f" its clusters, so that a level may have more: {RANGES['max_k']}."
        ),
    )

    @property
    def tree_changes(self) -> dict[str, int]:
        named = {"levels_cap": self.levels_cap, "min_k": self.min_k, "max_k": self.max_k}
        return {name: value for name, value in named.items() if value is not None}


class IngestForm(ByokFields, FileFields, ProcessingFields, BudgetFields):
    """An upload. `database_id` is an alias of `dataset_id`; `extra_meta` is a JSON object as text; `max_cost` (US
    dollars), `max_tokens` and `max_calls` limit what the work may cost."""

    # A misspelt limit or key would otherwise be ignored.
    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None


class Indexed(BaseModel):
    upserted: int


class Ingested(BaseModel):
    doc_id: str
    dataset_id: str
    status: Literal["embedded", "unchanged", "skipped", "queued", "superseded"] = Field(
        description="`superseded`: a newer version of the document came before this one was embedded."
    )
    chunks: int
    indexed: Indexed
    tree_id: str | None
    checksum: str
    job_id: Hex | None
    version_id: Hex | None
    replaced: Hex | None = Field(description=REPLACED)
    degraded: int = Field(
        description=(
            "Summaries that the build of this upload wrote without their model, because it failed: they consist of"
            " sentences from their sources until `retry-nodes` has the model write them."
        )
    )
    warnings: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, accepted: Accepted, job: Job | None) -> Ingested:
        """`job` is the finished job of this upload; without it the upload is queued, or there was nothing to do."""
        result: Mapping[str, Any] = job.result if job is not None else {}
        return cls(
            doc_id=accepted.doc_id,
            dataset_id=accepted.dataset_id,
            status=accepted.status if job is None else "superseded" if "superseded_by" in result else "embedded",
            chunks=result.get("chunks", accepted.chunks),
            indexed=Indexed(upserted=result.get("upserted", 0)),
            tree_id=result.get("tree_id", accepted.tree_id),
            checksum=accepted.checksum,
            job_id=accepted.job_id,
            version_id=accepted.version_id,
            replaced=accepted.replaced,
            degraded=result.get("degraded", 0),
            warnings=[*accepted.warnings, *without_model(accepted.dataset_id, result)],
        )


def without_model(dataset_id: str, result: Mapping[str, Any]) -> list[str]:
    """What the chat model was asked for and did not do, from the result of an upload's job."""
    told = []
    if degraded := result.get("degraded", 0):
        what = "1 summary was" if degraded == 1 else f"{degraded} summaries were"
        told.append(
            f"{what} written without the model, which failed, from sentences of the sources."
            f" POST /v1/datasets/{dataset_id}/retry-nodes has the model write what is missing."
        )
    if skipped := result.get("refinement", {}).get("skipped_chunks", 0):
        what = "1 chunk was" if skipped == 1 else f"{skipped} chunks were"
        told.append(f"{what} cut without the model's advice, because its answers were of no use.")
    return told


class NewDocumentBody(ByokFields, TextFields, ProcessingFields, BudgetFields):
    """A document as JSON."""

    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None


class DocumentAccepted(BaseModel):
    document_id: str
    dataset_id: str
    job_id: Hex | None
    status: Literal["embedded", "unchanged", "skipped", "queued", "superseded"]
    replaced: Hex | None = Field(description=REPLACED)
    warnings: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, accepted: Accepted, job: Job | None) -> DocumentAccepted:
        """`job` is the finished job of this upload, where somebody waited for it."""
        ingested = Ingested.of(accepted, job)
        return cls(
            document_id=accepted.doc_id,
            dataset_id=accepted.dataset_id,
            job_id=accepted.job_id,
            status=ingested.status,
            replaced=accepted.replaced,
            warnings=ingested.warnings,
        )
