"""Many documents that belong together: an upload that is begun, filled and committed, and the same in one request."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import BudgetFields, Hex
from interfaces_adaptor.http.schemas.ingest import DocumentFields, ProcessingFields
from services.ingest.uploads import Committed, OpenUpload
from services.jobs.job import Job

# What one request with many documents may hold; an upload that is filled document by document may be of any size.
MOST_DOCUMENTS = 1_000


class UploadBody(ProcessingFields):
    """How the documents of the upload will be processed."""

    model_config = ConfigDict(extra="forbid")


class UploadOut(BaseModel):
    upload_id: Hex
    dataset_id: str
    documents: int = Field(description="How many were added so far.")
    created_at: datetime
    expires_at: datetime = Field(description="It is removed then if it is not committed.")

    @classmethod
    def of(cls, upload: OpenUpload) -> UploadOut:
        return cls(
            upload_id=upload.upload_id,
            dataset_id=upload.dataset_id,
            documents=upload.documents,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
        )


class UploadFileForm(DocumentFields):
    """A document of an upload as a file."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile = Field(description="Markdown in UTF-8; the name ends in .md, .markdown, .mdown, .mdx or .qmd.")
    extra_meta: str | None = None


class UploadTextBody(DocumentFields):
    """A document of an upload as JSON."""

    model_config = ConfigDict(extra="forbid")

    text: str
    file_name: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class CommitBody(ByokFields, BudgetFields):
    """Whose keys pay for the upload, and what it may cost."""

    model_config = ConfigDict(extra="forbid")


class BatchBody(ByokFields, ProcessingFields, BudgetFields):
    """Documents that belong together: one job, one build, all of them or none."""

    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None
    documents: list[UploadTextBody] = Field(min_length=1, max_length=MOST_DOCUMENTS)


class BatchDocumentOut(BaseModel):
    document_id: str
    status: str = Field(description="`queued`, `unchanged` or `skipped`.")
    version_id: Hex | None


class BatchOut(BaseModel):
    """`job_id` is null if nothing was to be done; `chunks_created` is known once the job has ended (`Prefer: wait`)."""

    dataset_id: str
    accepted: int
    upserted_docs: int
    skipped_docs: int = Field(description="Unchanged ones, and with `skip_duplicates` copies of others.")
    chunks_created: int
    job_id: Hex | None
    documents: list[BatchDocumentOut]
    warnings: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, committed: Committed, job: Job | None) -> BatchOut:
        documents = committed.documents
        upserted = sum(document.status == "queued" for document in documents)
        return cls(
            dataset_id=committed.dataset_id,
            accepted=len(documents),
            upserted_docs=upserted,
            skipped_docs=len(documents) - upserted,
            chunks_created=job.result.get("upserted", 0) if job is not None else 0,
            job_id=committed.job_id,
            documents=[
                BatchDocumentOut(document_id=one.doc_id, status=one.status, version_id=one.version_id)
                for one in documents
            ],
            warnings=sorted({warning for one in documents for warning in one.warnings}),
        )
