"""Tables of the work on it: jobs, uploads that are not committed, paid results, what was used, providers' limits."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB

from infra.db.schema.columns import EMPTY, EMPTY_OBJECT, NOW, TIME, ZERO, metadata, optional, owned_by, required

jobs = Table(
    "jobs",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("job_id", Uuid, "the job"),
    required("dataset_id", Text, "the dataset"),
    required("job_type", Text, "`ingest`, `build`, `mend`"),
    optional("doc_id", Text, "the document, where the job is about one"),
    optional("version_id", Uuid, "its version"),
    required(
        "payer",
        Text,
        "whose keys and budget pay: empty for the service's own; uploads of one share builds",
        default=EMPTY,
    ),
    required("status", Text, "`queued`, `running`, `succeeded`, `failed`, `cancelled`"),
    required("stage", Text, "what is being done"),
    required("progress", REAL, "0 to 1", default=ZERO),
    required("attempts", Integer, "the fencing token: a write of another attempt changes nothing", default=ZERO),
    optional("awaits_revision", BigInteger, "an upload that waits for its tree: the revision which that has to reach"),
    optional("queue_job_id", BigInteger, "its row in the queue"),
    required("params", JSONB, "limits, and whether a build begins at once", default=EMPTY_OBJECT),
    required("result", JSONB, "what clients get at the end", default=EMPTY_OBJECT),
    required(
        "usage",
        JSONB,
        "calls, tokens, cache hits, cost; `counted_here`: calls whose tokens the provider did not tell",
        default=EMPTY_OBJECT,
    ),
    required("timings", JSONB, "seconds by part", default=EMPTY_OBJECT),
    required("detail", JSONB, "what the stage does now: level, done, planned, seconds left", default=EMPTY_OBJECT),
    optional("error", JSONB, "code, message, details"),
    required("created_at", TIME, "when the row was added", default=NOW),
    optional("started_at", TIME, "first attempt"),
    optional("finished_at", TIME, "null while it may go on"),
    required("updated_at", TIME, "when it last changed", default=NOW),
    PrimaryKeyConstraint("tenant_id", "job_id"),
    owned_by("datasets", "dataset_id"),
    CheckConstraint("job_type in ('ingest', 'build', 'mend')", name="job_type_known"),
    CheckConstraint("progress between 0 and 1", name="progress_share"),
    CheckConstraint("status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status_known"),
    Index("ix_jobs_created_at", "tenant_id", "created_at", "job_id"),
    Index("ix_jobs_dataset", "tenant_id", "dataset_id", "status"),
    Index(
        "uq_jobs_queued_build",
        "tenant_id",
        "dataset_id",
        "payer",
        unique=True,
        postgresql_where=text("job_type = 'build' and status = 'queued'"),
    ),
    comment=(
        "What clients see of background work. The queue's own row is in `procrastinate_jobs`, inserted in the same "
        "transaction. Triggers tell on the channel `raptor_jobs` whose jobs a statement has changed."
    ),
)

uploads = Table(
    "uploads",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("upload_id", Uuid, "the upload"),
    required("dataset_id", Text, "the dataset that it will be committed to"),
    required(
        "options", JSONB, "what holds for all its documents: `build_tree`, `summary_llm`, …", default=EMPTY_OBJECT
    ),
    optional("job_id", Uuid, "the job that its commit began"),
    required("created_at", TIME, "when it was begun", default=NOW),
    required("expires_at", TIME, "removed then if it is not committed"),
    optional("committed_at", TIME, "not null: closed"),
    PrimaryKeyConstraint("tenant_id", "upload_id"),
    owned_by("tenants"),
    Index("ix_uploads_expires_at", "expires_at"),
    comment="Documents that belong together and are committed at once: one job, one build.",
)

upload_documents = Table(
    "upload_documents",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("upload_id", Uuid, "the upload"),
    required("position", Integer, "in the order in which they came"),
    required("identity_hash", LargeBinary, "SHA-256 of the document's identity, unique in the upload"),
    required("file_name", Text, "as it was sent; empty: none", default=EMPTY),
    required("fields", JSONB, "`doc_id`, `source`, `tags`, …", default=EMPTY_OBJECT),
    required("data", LargeBinary, "the file's bytes"),
    PrimaryKeyConstraint("tenant_id", "upload_id", "position"),
    owned_by("uploads", "upload_id"),
    UniqueConstraint("tenant_id", "upload_id", "identity_hash"),
    comment="What waits in an upload for its commit. Nothing of it can be read before.",
)

job_secrets = Table(
    "job_secrets",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("job_id", Uuid, "the job"),
    required("provider", Text, "the provider"),
    required("ciphertext", LargeBinary, "the key, sealed by the server's own"),
    required("expires_at", TIME, "deleted then at the latest"),
    PrimaryKeyConstraint("tenant_id", "job_id", "provider"),
    owned_by("jobs", "job_id"),
    Index("ix_job_secrets_expires_at", "expires_at"),
    comment=(
        "Keys that a caller brought, encrypted for as long as the job needs them; deleted in the transaction that "
        "ends it."
    ),
)

model_calls = Table(
    "model_calls",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("key", LargeBinary, "SHA-256 over provider, model, parameters and the whole input"),
    required("kind", Text, "`summary`, `refinement`, …"),
    required("provider", Text, "the provider"),
    required("model", Text, "the provider's name of the model"),
    required("output", JSONB, "the answer", default=EMPTY_OBJECT),
    required("usage", JSONB, "tokens", default=EMPTY_OBJECT),
    required("size", Integer, "bytes of `output`", default=ZERO),
    required("created_at", TIME, "when the row was added", default=NOW),
    required("last_used_at", TIME, "for the retention", default=NOW),
    PrimaryKeyConstraint("tenant_id", "key"),
    owned_by("tenants"),
    Index("ix_model_calls_last_used_at", "tenant_id", "last_used_at"),
    comment=(
        "Results that were paid for, addressed by what was asked; written the moment they arrive. An answer that "
        "is of no use to who asked (empty, refused, circular, no decision) is booked and not kept: the next "
        "attempt asks again."
    ),
)

model_call_sources = Table(
    "model_call_sources",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("key", LargeBinary, "the result's"),
    required("dataset_id", Text, "the document's dataset"),
    required("doc_id", Text, "the document"),
    PrimaryKeyConstraint("tenant_id", "key", "dataset_id", "doc_id"),
    owned_by("model_calls", "key"),
    Index("ix_model_call_sources_document", "tenant_id", "dataset_id", "doc_id"),
    comment=(
        "The documents whose text a paid result was written from, of whichever upload or build asked for it: it is "
        "erased with the first of them that is erased."
    ),
)

usage_ledger = Table(
    "usage_ledger",
    metadata,
    required("tenant_id", Text, "the tenant"),
    required("day", Date, "UTC"),
    required("dataset_id", Text, "empty: none"),
    required("job_id", Text, "hex; empty for questions"),
    required("stage", Text, "`summary`, `refinement`, `embed`, `query`, `rerank`, `answer`"),
    required("provider", Text, "the provider"),
    required("model", Text, "the provider's name of the model"),
    required("calls", BigInteger, "calls that were made"),
    required("input_tokens", BigInteger, "tokens that were sent"),
    required("output_tokens", BigInteger, "tokens that came back"),
    required("cached_tokens", BigInteger, "of the input, those the provider had seen before"),
    required("cache_hits", BigInteger, "results that were there already"),
    required("cost", DOUBLE_PRECISION, "US dollars"),
    PrimaryKeyConstraint("tenant_id", "day", "dataset_id", "job_id", "stage", "provider", "model"),
    owned_by("tenants"),
    comment="What was used and what it cost. It outlives the datasets and jobs that it names.",
)

provider_limits = Table(
    "provider_limits",
    metadata,
    required("provider", Text, "the provider"),
    required("key_hash", Text, "first 32 hex digits of the key's SHA-256"),
    optional("rpm", Integer, "requests a minute, as the provider's answers say"),
    optional("tpm", Integer, "tokens a minute, likewise"),
    optional(
        "learnt_rpm", Integer, "requests that went through in the minute of a refusal; forgotten after ten minutes"
    ),
    optional("learnt_concurrency", Integer, "calls that were under way at a refusal; doubles with every minute since"),
    optional("blocked_until", TIME, "nobody calls before"),
    optional("refused_at", TIME, "the last refusal"),
    PrimaryKeyConstraint("provider", "key_hash"),
    comment=(
        "What a provider allows on a key, as far as it is known. A key may serve several tenants, so that it has none."
    ),
)

provider_calls = Table(
    "provider_calls",
    metadata,
    required("provider", Text, "the provider"),
    required("key_hash", Text, "as in `provider_limits`"),
    required("call_id", Uuid, "drawn for each call"),
    required("started_at", TIME, "when it was let through"),
    optional("finished_at", TIME, "null: under way"),
    required("expires_at", TIME, "a call whose process died holds its place until then"),
    required("tokens", Integer, "expected, then real"),
    required("ok", Boolean, "whether it was answered"),
    PrimaryKeyConstraint("provider", "key_hash", "call_id"),
    prefixes=["UNLOGGED"],
    comment="Calls of the last minutes on a key: what the limiter counts. Unlogged.",
)
