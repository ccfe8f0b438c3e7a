"""Every error that a client or an operator can meet: a stable code, whether trying again can help, what to do.

A class's docstring is its default message. HTTP maps codes to statuses in one table
(`interfaces_adaptor/http/errors.py`); jobs store the same code and message.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class RaptorError(Exception):
    """Something went wrong inside the service; the log has the details under this request's id."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or " ".join((inspect.getdoc(type(self)) or "").split()) or self.code
        self.details = details
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "details": self.details}


# What a request can be told before any work begins.


class InvalidRequest(RaptorError):
    """The request does not have the form that this endpoint takes; `details` names the fields."""

    code = "validation_error"


class UnsupportedFileType(RaptorError):
    """Only Markdown is taken: send a file whose name ends in .md or .markdown."""

    code = "unsupported_file_type"


class UnsupportedMediaType(RaptorError):
    """Send the file as multipart/form-data, in the field `file`."""

    code = "unsupported_media_type"


class MissingDatasetId(RaptorError):
    """Say which dataset: the field `dataset_id` or the header X-Dataset-Id."""

    code = "missing_dataset_id"


class DatasetIdConflict(RaptorError):
    """The field `dataset_id` and the header X-Dataset-Id differ: send one of them, or the same twice."""

    code = "dataset_id_conflict"


class InvalidEncoding(RaptorError):
    """The file is not UTF-8 text: save it as UTF-8 and send it again."""

    code = "invalid_encoding"


class EmptyDocument(RaptorError):
    """The document holds nothing but white space: there is nothing to index."""

    code = "empty_document"


class InvalidExtraMeta(RaptorError):
    """`extra_meta` has to be a JSON object of finite numbers, strings, lists and objects, at most 32 deep, 16 KiB."""

    code = "invalid_extra_meta"


class FileTooLarge(RaptorError):
    """The file is larger than this service takes: split it, or ask the operator to raise RAPTOR_MAX_UPLOAD_BYTES."""

    code = "file_too_large"


class UnknownModel(RaptorError):
    """No such model is configured here."""

    code = "unknown_model"


class BaseUrlNotAllowed(RaptorError):
    """Only the operator sets where calls go (RAPTOR_PROVIDER_BASE_URLS; for a private address also
    RAPTOR_ALLOW_PRIVATE_PROVIDERS): leave the address out, and name a model of a provider that is set up here."""

    code = "base_url_not_allowed"


class RefinementNeedsModel(UnknownModel):
    """`refine=llm` needs a chat model: name one as `summary_llm` and bring its key, or take `refine=heuristic`."""


class MissingProviderKey(RaptorError):
    """The model's provider needs a key: bring one with the request, or ask the operator to set it."""

    code = "missing_provider_key"


class Unauthenticated(RaptorError):
    """Send an API key of this service as `Authorization: Bearer …`."""

    code = "unauthenticated"


class Forbidden(RaptorError):
    """This request is not allowed from there."""

    code = "forbidden"


# What is not there, or not there yet.


class NotFound(RaptorError):
    """There is no such thing here."""

    code = "not_found"


class DatasetNotFound(NotFound):
    """There is no such dataset; a dataset is made by the first upload to it."""

    code = "dataset_not_found"


class DocumentNotFound(NotFound):
    """There is no such document, or it was deleted."""

    code = "document_not_found"


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job_not_found"


class TreeNotFound(NotFound):
    """The dataset has no tree yet: upload with build_tree=true, or ask for a rebuild."""

    code = "tree_not_found"


class NodeNotFound(NotFound):
    """There is no such node in a live tree; a rebuild gives summaries new ids."""

    code = "node_not_found"


class EmbeddingNotReady(RaptorError):
    """Nothing in this dataset is embedded yet: upload a document, or wait until its job has succeeded."""

    code = "embedding_not_ready"


# What stands in the way at the moment.


class AmbiguousDocument(RaptorError):
    """Several datasets hold a document of this id: say which one with ?dataset_id=."""

    code = "ambiguous_document"


class EmbeddingSpaceConflict(RaptorError):
    """The question would be embedded in another space than the dataset: leave `embed_model` out, or re-embed."""

    code = "embedding_space_conflict"


class AlreadyRunning(RaptorError):
    """Such work is already under way for this dataset; `details.job_id` names it."""

    code = "already_running"


class VersionConflict(RaptorError):
    """The state of this thing does not allow that now."""

    code = "version_conflict"


# What fails beneath us.


class ProviderError(RaptorError):
    """The model's provider did not answer as it should, after all retries; a retry of the job goes on from here."""

    code = "provider_error"
    retryable = True

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None, **details: Any) -> None:
        waited = {} if retry_after_s is None else {"retry_after_s": round(retry_after_s, 1)}
        super().__init__(message, **{**details, **waited})
        self.retry_after_s = retry_after_s


class ProviderRateLimited(ProviderError):
    """The provider takes no more calls on this key for now; a retry of the job goes on from here."""


class ProviderBadAnswer(ProviderError):
    """The provider's answer is not what its API promises; a retry of the job goes on from here."""

    code = "provider_bad_response"


class ProviderRefused(ProviderError):
    """The provider refuses the request, and would again: see `details`."""

    retryable = False


class ProviderUnusable(ProviderRefused):
    """The provider refuses every request of this kind: no other text would fare better."""


class ProviderKeyRefused(ProviderUnusable):
    """The provider refuses the key: it is wrong, revoked, or may not use this model. Retry the job with another."""

    code = "provider_auth"


class ProviderOutOfQuota(ProviderUnusable):
    """The key has no credit left at its provider. Top it up or bring another, then retry the job."""

    code = "provider_quota"


class ProviderModelNotFound(ProviderUnusable):
    """The provider does not have this model, or not for this key. Name another with `summary_llm` and retry."""


class ContextTooLong(ProviderRefused):
    """The text is longer than the model takes."""


class EmbeddingServiceUnavailable(ProviderError):
    """The embedding service did not answer as it should, after all retries; a retry of the job goes on from here."""

    code = "embedding_service_unavailable"


class BudgetExceeded(RaptorError):
    """The job has used the budget that it was given; everything paid for is kept. Raise the limit and retry the job."""

    code = "budget_exceeded"


class VectorStoreError(RaptorError):
    """The vector store refused the operation."""

    code = "vector_store_error"
    retryable = True


class DatabaseUnavailable(RaptorError):
    """The database does not answer at the moment; the service goes on by itself when it is back."""

    code = "database_unavailable"
    retryable = True


# What ends a job.


class JobCancelled(RaptorError):
    """The job was cancelled; what was finished before is kept and a retry goes on from there."""

    code = "cancelled"


class AttemptsExhausted(RaptorError):
    """The job's worker died on every attempt; see the worker's log, then retry the job."""

    code = "attempts_exhausted"


class LeaseLost(RaptorError):
    """Another worker has taken this job over; this one must not write any more."""

    code = "lease_lost"


class ConcurrentChange(RaptorError):
    """What this work stood on was changed or deleted while it ran; it starts again from what is there now."""

    code = "concurrent_change"
    retryable = True
