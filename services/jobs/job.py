"""A piece of background work as clients see it, and a worker's right to write for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.domain import JsonObject

JobType = Literal["ingest", "build", "mend"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TERMINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Job:
    job_id: UUID
    job_type: JobType
    dataset_id: str
    doc_id: str | None
    version_id: UUID | None
    payer: str
    status: JobStatus
    stage: str
    progress: float
    attempts: int
    awaits_revision: int | None
    params: JsonObject
    result: JsonObject
    usage: JsonObject
    timings: JsonObject
    detail: JsonObject
    error: JsonObject | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewJob:
    job_type: JobType
    dataset_id: str
    doc_id: str | None
    version_id: UUID | None
    payer: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to write for a job: it ends when the job is cancelled or another attempt begins."""

    job_id: UUID
    attempt: int
