"""Many documents that belong together: an upload that is begun, filled and committed, and the same in one request."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import BudgetFields, Hex
from interfaces_adaptor.http.schemas.ingest import REPLACED, FileFields, ProcessingFields, TextFields
from services.ingest.uploads import Committed, OpenUpload
from services.jobs.job import Job

# What one request with many documents may hold; an upload that is filled document by document may be of any size.
MOST_DOCUMENTS = 1_000
# What one commit may delete, and move.
MOST_CHANGES = 100_000


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


class UploadFileForm(FileFields):
    """A document of an upload as a file."""

    model_config = ConfigDict(extra="forbid")


class UploadTextBody(TextFields):
    """A document of an upload as JSON."""

    model_config = ConfigDict(extra="forbid")


class MoveBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    doc_id: str
    source: str = Field(min_length=1)


class CommitBody(ByokFields, BudgetFields):
    """Whose keys pay for the upload, and what it may cost; documents that are deleted or moved with it, in the same
    transaction and build. What is moved keeps its id, tags and versions, and no model is called for it."""

    model_config = ConfigDict(extra="forbid")

    delete: list[str] = Field(default_factory=list, max_length=MOST_CHANGES)
    move: list[MoveBody] = Field(default_factory=list, max_length=MOST_CHANGES)
    sync_root: str | None = Field(
        None,
        min_length=1,
        description="The folder that the dataset is kept equal to; what is uploaded and moved is of its files.",
    )
    new_sync_root: bool = Field(False, description="`sync_root` takes the place of the dataset's folder of before.")


class BatchBody(ByokFields, ProcessingFields, BudgetFields):
    """Documents that belong together: one job, one build, all of them or none."""

    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None
    documents: list[UploadTextBody] = Field(min_length=1, max_length=MOST_DOCUMENTS)


class BatchDocumentOut(BaseModel):
    document_id: str
    source: str | None
    status: str = Field(description="`queued`, `unchanged` or `skipped`.")
    version_id: Hex | None
    replaced: Hex | None = Field(description=REPLACED)


class BatchOut(BaseModel):
    """`job_id` is null if nothing was to be done; `chunks_created` is known once the job has ended (`Prefer: wait`)."""

    dataset_id: str
    accepted: int
    upserted_docs: int
    skipped_docs: int = Field(description="Unchanged ones, and with `skip_duplicates` copies of others.")
    deleted_docs: int
    moved_docs: int
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
            deleted_docs=committed.deleted,
            moved_docs=committed.moved,
            chunks_created=job.result.get("upserted", 0) if job is not None else 0,
            job_id=committed.job_id,
            documents=[
                BatchDocumentOut(
                    document_id=one.doc_id,
                    source=one.source,
                    status=one.status,
                    version_id=one.version_id,
                    replaced=one.replaced,
                )
                for one in documents
            ],
            warnings=sorted({warning for one in documents for warning in one.warnings}),
        )
