"""All settings: one tree, read once at start from the environment and `.env`, then passed as values.

Names in the environment: DATABASE_URL, and RAPTOR_… for the rest; `.env.example` tells each with its meaning.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from constants.models import load_models
from infra.providers.access import BaseUrlNotAllowed, checked_base_url
from services.clustering import GroupingParams
from services.domain import ChunkingParams, Refine
from services.errors import InvalidRequest
from services.tree.params import TreeParams

MIB = 1024 * 1024

Empty = BeforeValidator(lambda value: None if value == "" else value)
Secret = Annotated[SecretStr | None, Empty]


class SettingsError(Exception):
    """A setting has a value that makes no sense; the message names it and says what is allowed."""


class Group(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)


class HttpSettings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_", env_file=".env", extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    max_upload_bytes: int = Field(
        20 * MIB, gt=0, validation_alias=AliasChoices("RAPTOR_MAX_UPLOAD_BYTES", "MAX_UPLOAD_BYTES")
    )
    # How long an ingest without `Prefer` waits for its job before it answers 202.
    ingest_wait_seconds: float = Field(3600.0, gt=0)
    allowed_hosts: tuple[str, ...] = ()


class DatabaseSettings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_DB_", env_file=".env", extra="ignore", frozen=True)

    pool_size: int = Field(10, ge=2, le=200)
    timeout_seconds: float = Field(10.0, gt=0)
    # A search that takes longer is given up, and the request answers 503.
    search_timeout_seconds: float = Field(30.0, gt=0, le=3600)
    # For the embedded server only.
    shared_buffers: str = "256MB"
    maintenance_work_mem: str = "512MB"


class ChunkSettings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_CHUNK_", env_file=".env", extra="ignore", frozen=True)

    chunker: str = "markdown"
    size: int = Field(1200, ge=100, le=20_000)
    overlap: int = Field(200, ge=0)
    refine: Refine = Field("auto", validation_alias="RAPTOR_REFINE")

    @property
    def params(self) -> ChunkingParams:
        return ChunkingParams(self.chunker, self.size, self.overlap, self.refine)


class TreeSettings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_TREE_", env_file=".env", extra="ignore", frozen=True)

    grouper: str = "umap_gmm"
    min_k: int = 1
    max_k: int = 50
    threshold: float = 0.1
    dimensions: int = 10
    seed: int = 224
    token_budget: int = 3500
    summary_tokens: int = 200
    levels_cap: Annotated[int | None, Empty] = None
    debounce_seconds: float = Field(5.0, ge=0)
    debounce_max_seconds: float = Field(30.0, ge=0)

    def params(self) -> TreeParams:
        chosen = self.model_dump(exclude={"debounce_seconds", "debounce_max_seconds"})
        return TreeParams(grouping=GroupingParams()).changed(chosen)


class WorkerSettings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_WORKER_", env_file=".env", extra="ignore", frozen=True)

    concurrency: int = Field(8, ge=1, le=256)
    # Processes for clustering, chunking and the built-in models; 0: one a core.
    processes: int = Field(0, ge=0)
    poll_seconds: float = Field(0.5, gt=0)
    heartbeat_seconds: float = Field(5.0, gt=0)
    # A worker that has not been heard of for so long is taken for dead, and its jobs are given to others.
    dead_after_seconds: float = Field(20.0, gt=0)
    shutdown_seconds: float = Field(10.0, ge=0)


class LogSettings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_LOG_", env_file=".env", extra="ignore", frozen=True)

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    folder: Annotated[Path | None, Empty] = Path("logs")
    format: Literal["console", "json"] = "console"


class LimitSettings(BaseModel):
    """What the operator allows or knows of a provider's key; None: not limited by us."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rpm: int | None = Field(None, ge=1)
    tpm: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    min_interval: float = Field(0.0, ge=0)
    # Over how many seconds requests and tokens are counted.
    window: float = Field(60.0, gt=0)


class ProviderSettings(Group):
    """Keys of the operator's, by provider, and servers of the operator's own."""

    model_config = SettingsConfigDict(env_prefix="RAPTOR_", env_file=".env", extra="ignore", frozen=True)

    openai_api_key: Secret = None
    azure_api_key: Secret = None
    cohere_api_key: Secret = None
    huggingface_api_key: Secret = None
    dashscope_api_key: Secret = None
    gemini_api_key: Secret = None
    voyage_api_key: Secret = None
    deepseek_api_key: Secret = None
    # {"name": "http://localhost:11434/v1"}: OpenAI-compatible servers; or another address of a known provider.
    provider_base_urls: dict[str, str] = Field(default_factory=dict)
    # {"name": "key"} for the servers above that want one.
    provider_keys: dict[str, SecretStr] = Field(default_factory=dict)
    allow_private_providers: bool = False
    # {"voyage": {"rpm": 3, "tpm": 10000, "concurrency": 1, "min_interval": 0}}
    provider_limits: dict[str, LimitSettings] = Field(default_factory=dict)
    provider_base_url_override: Annotated[str | None, Empty] = None
    # A call that takes longer has failed; a failed one is tried again so often, after pauses that begin at so much.
    provider_timeout_seconds: float = Field(120.0, gt=0)
    provider_attempts: int = Field(5, ge=1, le=20)
    provider_retry_seconds: float = Field(0.5, gt=0)
    models_file: Annotated[Path | None, Empty] = None
    # A summary that its model cannot write: the built-in summariser writes and marks it, or the job fails.
    summary_fallback: Literal["extractive", "fail"] = "extractive"
    # Results that were paid for are kept so long after their last use, and so many bytes of them a tenant.
    paid_results_days: int = Field(90, ge=1)
    paid_results_bytes: int = Field(5 * 1024 * MIB, ge=MIB)
    # Workers remove what is over so often.
    paid_results_purge_cron: str = "7 * * * *"

    @property
    def keys(self) -> dict[str, str]:
        known = {
            name.removesuffix("_api_key"): getattr(self, name)
            for name in type(self).model_fields
            if name.endswith("_api_key")
        }
        given = {name: secret for name, secret in (known | self.provider_keys).items() if secret is not None}
        return {name: secret.get_secret_value() for name, secret in given.items()}


class BudgetSettings(Group):
    """The upper limits of any job; a request can set lower ones."""

    model_config = SettingsConfigDict(env_prefix="RAPTOR_", env_file=".env", extra="ignore", frozen=True)

    max_cost: Annotated[float | None, Empty] = Field(None, gt=0, allow_inf_nan=False)
    max_tokens: Annotated[int | None, Empty] = Field(None, gt=0)
    max_calls: Annotated[int | None, Empty] = Field(None, gt=0)


class Settings(Group):
    model_config = SettingsConfigDict(env_prefix="RAPTOR_", env_file=".env", extra="ignore", frozen=True)

    database_url: Annotated[SecretStr | None, Empty] = Field(None, validation_alias="DATABASE_URL")
    data_dir: Path = Path(".raptor")
    # Unset: by the keys at hand, else the built-in ones.
    default_embedder: Annotated[str | None, Empty] = None
    default_summary_llm: Annotated[str | None, Empty] = None
    # Encrypts the keys that callers bring while a job needs them. Unset: one is made and kept in the data folder.
    secret_key: Secret = None
    default_vector_index: Literal["hnsw_cosine", "hnsw_ip", "hnsw_l2", "exact"] = "hnsw_cosine"
    # Vectors of a dataset from which on it gets an HNSW index of its own.
    vector_index_from: int = Field(20_000, ge=1)
    http: HttpSettings = Field(default_factory=HttpSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    chunk: ChunkSettings = Field(default_factory=ChunkSettings)
    tree: TreeSettings = Field(default_factory=TreeSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    providers: ProviderSettings = Field(default_factory=ProviderSettings)
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @model_validator(mode="after")
    def sensible(self) -> Settings:
        if self.chunk.overlap >= self.chunk.size:
            raise ValueError("RAPTOR_CHUNK_OVERLAP has to be smaller than RAPTOR_CHUNK_SIZE")
        return self

    @property  # not kept: a copy with another `tree` would keep what followed from the first
    def tree_params(self) -> TreeParams:
        return self.tree.params()


def load_settings() -> Settings:
    """Raises SettingsError with a line for each setting that is wrong."""
    try:
        settings = Settings()
        _ = settings.tree_params
        check_providers(settings.providers)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    except InvalidRequest as error:
        raise SettingsError(f"RAPTOR_TREE_…: {error.message}") from None
    return settings


def check_providers(settings: ProviderSettings) -> None:
    """Raises SettingsError."""
    try:
        load_models(settings.models_file)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"RAPTOR_MODELS_FILE: {error}") from None
    override = settings.provider_base_url_override
    if override is not None and not re.fullmatch(r"https?://[^/?#@\s]+/?", override):
        raise SettingsError("RAPTOR_PROVIDER_BASE_URL_OVERRIDE: scheme, host and port, such as http://127.0.0.1:8100")
    for name, url in settings.provider_base_urls.items():
        try:
            checked_base_url(url, allow_private=settings.allow_private_providers)
        except BaseUrlNotAllowed as error:
            raise SettingsError(f"RAPTOR_PROVIDER_BASE_URLS, {name}: {error}") from None


def child_environment(database_url: str) -> dict[str, str]:
    """What a child process of ours needs to come to the same settings and the same database."""
    return dict(os.environ) | {"DATABASE_URL": database_url}
