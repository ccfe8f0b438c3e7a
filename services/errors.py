"""Every error that a client or an operator can meet: a stable code, its HTTP status, whether a retry can help.

A class's docstring is its default message: what happened and what to do. Jobs store the same code and message.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar


class RaptorError(Exception):
    """Something went wrong inside the service. Its log has the details under this request's id."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or " ".join((inspect.getdoc(type(self)) or "").split()) or self.code
        self.details = details
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "details": self.details}


# Requests that are refused before any work begins.


class InvalidRequest(RaptorError):
    """The request is not valid; `details` names the fields."""

    code = "validation_error"
    status = 422


class BrokenTreeSettings(InvalidRequest):
    """The tree settings stored with the dataset cannot be: `rebuild` with other ones replaces them."""


class UnsupportedFileType(RaptorError):
    """Only Markdown is accepted: the file's name has to end in one of the suffixes in `details.accepted`."""

    code = "unsupported_file_type"
    status = 400


class UnsupportedMediaType(RaptorError):
    """Send the file as multipart/form-data, in the field `file`."""

    code = "unsupported_media_type"
    status = 415


class MissingDatasetId(RaptorError):
    """Name the dataset in the field `dataset_id` or the header X-Dataset-Id."""

    code = "missing_dataset_id"
    status = 400


class DatasetIdConflict(RaptorError):
    """The field `dataset_id` and the header X-Dataset-Id name different datasets: send only one of them."""

    code = "dataset_id_conflict"
    status = 400


class InvalidEncoding(RaptorError):
    """The file is not UTF-8 text: save it as UTF-8 and send it again."""

    code = "invalid_encoding"
    status = 400


class EmptyDocument(RaptorError):
    """The document contains only white space, so there is nothing to index."""

    code = "empty_document"
    status = 400


class InvalidExtraMeta(RaptorError):
    """`extra_meta` must be a JSON object of at most 16 KiB, nested at most 32 levels deep, with finite numbers only."""

    code = "invalid_extra_meta"
    status = 400


class FileTooLarge(RaptorError):
    """The file is too large: split it, or ask the operator to raise RAPTOR_MAX_UPLOAD_BYTES."""

    code = "file_too_large"
    status = 413


class WebhookUrlRefused(RaptorError):
    """Events cannot be sent to this address: name an https address without a user, of a host that is public."""

    code = "webhook_url_refused"
    status = 422


class UnknownModel(RaptorError):
    """This service has no such model."""

    code = "unknown_model"
    status = 422


class BaseUrlNotAllowed(RaptorError):
    """A request must not say where models are called: leave the address out and name a model of a configured provider.
    Only the operator sets addresses, with RAPTOR_PROVIDER_BASE_URLS and, for private ones,
    RAPTOR_ALLOW_PRIVATE_PROVIDERS."""

    code = "base_url_not_allowed"
    status = 422


class RefinementNeedsModel(UnknownModel):
    """`refine=llm` needs a chat model: name one in `summary_llm` and send its key, or use `refine=heuristic`."""


class MissingProviderKey(RaptorError):
    """The model's provider needs a key: send one with the request, or ask the operator to set one."""

    code = "missing_provider_key"
    status = 422


class Unauthenticated(RaptorError):
    """Send an API key of this service in the header `Authorization: Bearer <key>`."""

    code = "unauthenticated"
    status = 401


class Forbidden(RaptorError):
    """The request is not allowed from this origin."""

    code = "forbidden"
    status = 403


# What is missing, or not ready yet.


class NotFound(RaptorError):
    """Nothing was found at this address."""

    code = "not_found"
    status = 404


class DatasetNotFound(NotFound):
    """There is no such dataset; the first upload to a dataset creates it."""

    code = "dataset_not_found"


class DocumentNotFound(NotFound):
    """There is no such document; it may have been deleted."""

    code = "document_not_found"


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job_not_found"


class UploadNotFound(NotFound):
    """There is no such upload; one that was not committed in time has expired. Begin a new one."""

    code = "upload_not_found"


class TreeNotFound(NotFound):
    """The dataset has no tree yet: upload with build_tree=true, or request a rebuild."""

    code = "tree_not_found"


class NodeNotFound(NotFound):
    """There is no such node in a live tree; after a rebuild, summaries have new ids."""

    code = "node_not_found"


class GenerationNotFound(NotFound):
    """The dataset has no such generation: it is still to come, or its time is over. `GET
    /v1/datasets/{id}/generations` lists those that there are."""

    code = "generation_not_found"


class WebhookNotFound(NotFound):
    """There is no such webhook."""

    code = "webhook_not_found"


class EmbeddingNotReady(RaptorError):
    """Nothing in this dataset is embedded yet: upload a document, or wait for its job to succeed."""

    code = "embedding_not_ready"
    status = 400


# Conflicts with the current state.


class AmbiguousDocument(RaptorError):
    """Several datasets have a document with this id: choose one with ?dataset_id=."""

    code = "ambiguous_document"
    status = 409


class SourceTaken(RaptorError):
    """Another document of the dataset, perhaps a deleted one, is known by this source: `details.doc_id` is its id.
    Change or erase that one first, or choose another source."""

    code = "source_taken"
    status = 409


class EmbeddingSpaceConflict(RaptorError):
    """The dataset was embedded with another model: leave `embed_model` out, or embed the dataset again."""

    code = "embedding_space_conflict"
    status = 409


class AlreadyRunning(RaptorError):
    """The same work is already running for this dataset; `details.job_id` is its job."""

    code = "already_running"
    status = 409


class GenerationErased(RaptorError):
    """A document was erased since this generation was live, and must not come back: there is no way back to it."""

    code = "generation_erased"
    status = 409


class UploadClosed(RaptorError):
    """The upload is committed: begin a new one for more documents. `details.job_id` is the job of its commit."""

    code = "upload_closed"
    status = 409


class VersionConflict(RaptorError):
    """The resource's current state does not allow this."""

    code = "version_conflict"
    status = 409


# Failures of providers and of the database.


class ProviderError(RaptorError):
    """The model's provider failed after all retries. Retrying the job continues from here."""

    code = "provider_error"
    status = 502
    retryable = True

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None, **details: Any) -> None:
        waited = {} if retry_after_s is None else {"retry_after_s": round(retry_after_s, 1)}
        super().__init__(message, **{**details, **waited})
        self.retry_after_s = retry_after_s


class ProviderRateLimited(ProviderError):
    """The provider accepts no more calls with this key for now. Retrying the job continues from here."""


class ProviderBadAnswer(ProviderError):
    """The provider's response does not follow its API. Retrying the job continues from here."""

    code = "provider_bad_response"


class ProviderRefused(ProviderError):
    """The provider rejected the request and would reject it again; see `details`."""

    retryable = False


class ProviderUnusable(ProviderRefused):
    """The provider rejects every request of this kind, whatever its text."""


class ProviderKeyRefused(ProviderUnusable):
    """The provider rejected the key: it is wrong, revoked, or may not use this model. Retry with another key."""

    code = "provider_auth"


class ProviderOutOfQuota(ProviderUnusable):
    """The key has no credit left. Top it up or send another key, then retry the job."""

    code = "provider_quota"


class ProviderModelNotFound(ProviderUnusable):
    """The provider does not offer this model, or not with this key. Name another one in `summary_llm` and retry."""


class ContextTooLong(ProviderRefused):
    """The text is too long for the model."""


class EmbeddingServiceUnavailable(ProviderError):
    """The embedding service failed after all retries. Retrying the job continues from here."""

    code = "embedding_service_unavailable"
    status = 503


class BudgetExceeded(RaptorError):
    """The job has used up its budget. Everything paid for is kept: raise the limit and retry the job."""

    code = "budget_exceeded"
    status = 402


class VectorStoreError(RaptorError):
    """The vector store rejected the operation."""

    code = "vector_store_error"
    status = 503
    retryable = True


class DatabaseUnavailable(RaptorError):
    """The database does not answer at the moment. The service recovers by itself when it is back."""

    code = "database_unavailable"
    status = 503
    retryable = True


# What ends a job.


class JobCancelled(RaptorError):
    """The job was cancelled. Finished work is kept, and a retry continues from there."""

    code = "cancelled"
    status = 409


class AttemptsExhausted(RaptorError):
    """The worker died on every attempt at this job. Check the worker's log, then retry the job."""

    code = "attempts_exhausted"


class LeaseLost(RaptorError):
    """Another worker has taken over this job; this one must stop writing."""

    code = "lease_lost"
    status = 409


class ConcurrentChange(RaptorError):
    """The data was changed or deleted while the job ran. The job starts again from the current state."""

    code = "concurrent_change"
    status = 409
    retryable = True


def status_of(code: str) -> int:
    """The HTTP status of a stored error, of which only the code is left."""
    return next((kind.status for kind in _kinds(RaptorError) if kind.code == code), RaptorError.status)


def _kinds(base: type[RaptorError]) -> Iterator[type[RaptorError]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)
