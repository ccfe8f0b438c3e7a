"""Jobs, and the state of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import BudgetFields, Hex, Page
from interfaces_adaptor.repositories.dataset_entries import IndexEntry
from services.jobs.job import Job
from services.tree.params import tree_ranges


class JobOut(BaseModel):
    id: Hex
    job_type: str
    dataset_id: str
    doc_id: str | None
    version_id: Hex | None
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    stage: str
    progress: float
    detail: dict[str, Any]
    attempts: int
    duration_s: float | None
    result: dict[str, Any]
    usage: dict[str, Any]
    timings: dict[str, Any]
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> JobOut:
        duration = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None
        return cls(
            id=job.job_id,
            job_type=job.job_type,
            dataset_id=job.dataset_id,
            doc_id=job.doc_id,
            version_id=job.version_id,
            status=job.status,
            stage=job.stage,
            progress=round(job.progress, 4),
            detail=dict(job.detail),
            attempts=job.attempts,
            duration_s=duration,
            result=dict(job.result),
            usage=dict(job.usage),
            timings=dict(job.timings),
            error=dict(job.error) if job.error else None,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


class JobStarted(BaseModel):
    job_id: Hex | None
    dataset_id: str


class RebuildStarted(JobStarted):
    """`warnings` name a requested model that is retired, and the one that replaces it."""

    warnings: list[str] = Field(default_factory=list)


class RetryNodesBody(ByokFields, BudgetFields):
    """Limits of the job in US dollars, tokens and calls."""

    model_config = ConfigDict(extra="forbid")


class RebuildBody(ByokFields, BudgetFields):
    """`full` clusters anew even if nothing changed; `max_…` limit what this build may cost."""

    model_config = ConfigDict(extra="forbid")

    reembed: Literal[False] = False
    new_embedding_model: None = None
    full: bool = False
    summary_llm: str | None = None
    tree: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "Parameters of the tree for this and later builds: `grouper`, `summary_llm`, "
            + ", ".join(f"`{name}` ({wanted})" for name, wanted in tree_ranges().items())
        ),
    )


class RetryBody(ByokFields, BudgetFields):
    """New limits for the job; what it has used before counts. Provider keys have to be sent again."""

    model_config = ConfigDict(extra="forbid")


class PartOut(BaseModel):
    ok: bool
    detail: str


class HealthOut(BaseModel):
    status: Literal["ok", "degraded"]
    version: str
    parts: dict[str, PartOut]


class IndexOut(BaseModel):
    dataset_id: str
    model: str
    dimensions: int
    vectors: int
    vector_index: str
    indexed: bool
    dirty: bool
    updated_at: datetime | None = Field(description="When the last of its vectors came; null: it has none.")

    @classmethod
    def of(cls, entry: IndexEntry) -> IndexOut:
        return cls(
            dataset_id=entry.dataset_id,
            model=entry.space.name,
            dimensions=entry.space.dimensions,
            vectors=entry.vectors,
            vector_index=entry.vector_index,
            indexed=entry.indexed,
            dirty=entry.dirty,
            updated_at=entry.updated_at,
        )


class IndexTotals(BaseModel):
    datasets: int
    vectors: int
    dirty: int = Field(description="Datasets whose tree is behind their documents.")
    updated_at: datetime | None


class IndexPage(Page[IndexOut]):
    total: IndexTotals
