"""All settings: one tree, read once at start from the environment and `.env`, then passed as values.

`.env.example` lists each with its name in the environment and its meaning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from croniter import croniter
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from app.errors import SettingsError
from constants.markdown import SUFFIXES
from infra.model_registry import load_models
from infra.providers.access import BaseUrlRefused, checked_base_url
from services.domain import ChunkingParams, Refine
from services.errors import InvalidRequest

if TYPE_CHECKING:
    from services.maintenance import MaintenanceParams
    from services.tree.generations import Retention
    from services.tree.params import TreeParams

MIB = 1024 * 1024

Empty = BeforeValidator(lambda value: None if value == "" else value)
Secret = Annotated[SecretStr | None, Empty]


class SettingsGroup(BaseSettings):
    """Settings that belong together. A field's name in the environment is the prefix and the field, in capitals."""

    model_config = SettingsConfigDict(env_prefix="RAPTOR_", env_file=".env", extra="ignore", frozen=True)


class HttpSettings(SettingsGroup):
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    max_upload_bytes: int = Field(
        20 * MIB, gt=0, validation_alias=AliasChoices("RAPTOR_MAX_UPLOAD_BYTES", "MAX_UPLOAD_BYTES")
    )
    # How long an ingest without `Prefer` waits for its job before it answers 202.
    ingest_wait_seconds: float = Field(3600.0, gt=0)
    # How long an upload of many documents may stay open.
    upload_hours: float = Field(24.0, gt=0, le=24 * 365)
    allowed_hosts: tuple[str, ...] = ()
    # Files that are read as Markdown, by the end of their names; others are refused.
    file_suffixes: tuple[str, ...] = SUFFIXES

    @field_validator("file_suffixes")
    @classmethod
    def _suffixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(re.fullmatch(r"\.[^\s./\\]+", suffix) is None for suffix in value):
            raise ValueError('has to be a JSON list of suffixes with their dot, such as \'[".md", ".mdx"]\'')
        return tuple(suffix.lower() for suffix in value)


class DatabaseSettings(SettingsGroup, env_prefix="RAPTOR_DB_"):
    pool_size: int = Field(10, ge=2, le=200)
    timeout_seconds: float = Field(10.0, gt=0)
    # A longer search is aborted, and its request answered with 503.
    search_timeout_seconds: float = Field(30.0, gt=0, le=3600)
    # For the embedded server only.
    shared_buffers: str = "256MB"
    maintenance_work_mem: str = "512MB"


class ChunkSettings(SettingsGroup, env_prefix="RAPTOR_CHUNK_"):
    chunker: str = "markdown"
    size: int = Field(1200, ge=100, le=20_000)
    overlap: int = Field(200, ge=0)
    refine: Refine = Field("auto", validation_alias="RAPTOR_REFINE")

    @property
    def params(self) -> ChunkingParams:
        return ChunkingParams(self.chunker, self.size, self.overlap, self.refine)


class TreeSettings(SettingsGroup, env_prefix="RAPTOR_TREE_"):
    grouper: str = "umap_gmm"
    min_k: int = 1
    max_k: int = 50
    threshold: float = 0.1
    dimensions: int = 10
    seed: int = 224
    token_budget: int = 3500
    summary_tokens: int = 200
    levels_cap: Annotated[int | None, Empty] = None
    debounce_max_seconds: float = Field(30.0, ge=0)
    maintenance_price: float = 0.25
    maintenance_lag: float = 0.1
    maintenance_regret: float = 0.04

    def maintenance(self) -> MaintenanceParams:
        from services.maintenance import MaintenanceParams

        return MaintenanceParams(self.maintenance_price, self.maintenance_lag, self.maintenance_regret)

    def params(self) -> TreeParams:
        # Imported here because it imports numpy, which commands that only read ClientSettings do not need.
        from services.clustering import GroupingParams
        from services.tree.params import TreeParams

        chosen = {
            name: value
            for name, value in self.model_dump().items()
            if not name.startswith(("debounce_", "maintenance_"))
        }
        return TreeParams(grouping=GroupingParams()).changed(chosen)


class WorkerSettings(SettingsGroup, env_prefix="RAPTOR_WORKER_"):
    concurrency: int = Field(8, ge=1, le=256)
    # Processes for clustering, chunking and the built-in models; 0: one per core.
    processes: int = Field(0, ge=0)
    poll_seconds: float = Field(0.5, gt=0)
    heartbeat_seconds: float = Field(5.0, gt=0)
    # After so long without a heartbeat a worker counts as dead, and its jobs go to others.
    dead_after_seconds: float = Field(20.0, gt=0)
    shutdown_seconds: float = Field(10.0, ge=0)


class LogSettings(SettingsGroup, env_prefix="RAPTOR_LOG_"):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    folder: Annotated[Path | None, Empty] = Path("logs")
    format: Literal["console", "json"] = "console"


class LimitSettings(BaseModel):
    """Limits on the calls made with a provider's key; None: no limit of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rpm: int | None = Field(None, ge=1)
    tpm: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    min_interval: float = Field(0.0, ge=0)
    # The period, in seconds, over which requests and tokens are counted.
    window: float = Field(60.0, gt=0)


class ProviderSettings(SettingsGroup):
    """The operator's keys and servers, by provider."""

    openai_api_key: Secret = None
    azure_api_key: Secret = None
    cohere_api_key: Secret = None
    huggingface_api_key: Secret = None
    dashscope_api_key: Secret = None
    gemini_api_key: Secret = None
    voyage_api_key: Secret = None
    deepseek_api_key: Secret = None
    # OpenAI-compatible servers, as {"name": "http://localhost:11434/v1"}, or another address of a known provider.
    provider_base_urls: dict[str, str] = Field(default_factory=dict)
    # Keys for these servers, as {"name": "key"}.
    provider_keys: dict[str, SecretStr] = Field(default_factory=dict)
    allow_private_providers: bool = False
    # {"voyage": {"rpm": 3, "tpm": 10000, "concurrency": 1, "min_interval": 0}}
    provider_limits: dict[str, LimitSettings] = Field(default_factory=dict)
    provider_base_url_override: Annotated[str | None, Empty] = None
    # A call's time limit, the number of attempts, and the first pause between them.
    provider_timeout_seconds: float = Field(120.0, gt=0)
    provider_attempts: int = Field(5, ge=1, le=20)
    provider_retry_seconds: float = Field(0.5, gt=0)
    models_file: Annotated[Path | None, Empty] = None
    # When the model cannot write a summary: the built-in summariser writes and marks it, or the job fails.
    summary_fallback: Literal["extractive", "fail"] = "extractive"
    # How long results that were paid for are kept after their last use, and how many bytes per tenant.
    paid_results_days: int = Field(90, ge=1)
    paid_results_bytes: int = Field(5 * 1024 * MIB, ge=MIB)
    # Workers remove what is over so often.
    paid_results_purge_cron: str = "7 * * * *"

    @field_validator("paid_results_purge_cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not croniter.is_valid(value):
            raise ValueError("has to be a cron expression, such as '7 * * * *'")
        return value

    @property
    def keys(self) -> dict[str, str]:
        known = {
            name.removesuffix("_api_key"): getattr(self, name)
            for name in type(self).model_fields
            if name.endswith("_api_key")
        }
        given = {name: secret for name, secret in (known | self.provider_keys).items() if secret is not None}
        return {name: secret.get_secret_value() for name, secret in given.items()}


class BudgetSettings(SettingsGroup):
    """Limits of every job; a request can set lower ones."""

    max_cost: Annotated[float | None, Empty] = Field(None, gt=0, allow_inf_nan=False)
    max_tokens: Annotated[int | None, Empty] = Field(None, gt=0)
    max_calls: Annotated[int | None, Empty] = Field(None, gt=0)


class WebhookSettings(SettingsGroup, env_prefix="RAPTOR_WEBHOOK_"):
    # Whether events may be sent to private addresses, and without TLS.
    allow_private: bool = False
    # The first pause after a delivery that failed; the next ones are longer.
    retry_seconds: float = Field(5.0, gt=0, le=3600)


class GenerationSettings(SettingsGroup, env_prefix="RAPTOR_GENERATIONS_"):
    """What of a dataset's past is kept, to roll back to: so many beside the live one, for so long after they were."""

    kept: int = Field(3, ge=0, le=1000)
    kept_days: float = Field(7.0, ge=0, le=36_500, allow_inf_nan=False)

    @property
    def retention(self) -> Retention:
        from services.tree.generations import Retention

        return Retention(self.kept, self.kept_days * 86_400)


class DataSettings(SettingsGroup):
    data_dir: Path = Path(".raptor")


class ClientSettings(DataSettings):
    """For the commands that use a service; they read no other setting."""

    url: Annotated[str | None, Empty] = None
    api_key: Secret = None


class Settings(DataSettings):
    database_url: Annotated[SecretStr | None, Empty] = Field(None, validation_alias="DATABASE_URL")
    # Unset: chosen by the keys at hand, else the built-in models.
    default_embedder: Annotated[str | None, Empty] = None
    default_summary_llm: Annotated[str | None, Empty] = None
    # Encrypts keys that callers send, while a job needs them. Unset: created once and kept in the data folder.
    secret_key: Secret = None
    default_vector_index: Literal["hnsw_cosine", "hnsw_ip", "hnsw_l2", "exact"] = "hnsw_cosine"
    # From this many vectors on, a dataset has an HNSW index of its own.
    vector_index_from: int = Field(20_000, ge=1)
    http: HttpSettings = Field(default_factory=HttpSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    chunk: ChunkSettings = Field(default_factory=ChunkSettings)
    tree: TreeSettings = Field(default_factory=TreeSettings)
    generations: GenerationSettings = Field(default_factory=GenerationSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    providers: ProviderSettings = Field(default_factory=ProviderSettings)
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @property
    def tree_params(self) -> TreeParams:
        return self.tree.params()


def load_settings() -> Settings:
    """Raises SettingsError with a line for each setting that is wrong."""
    settings = loaded(Settings)
    check_chunks(settings.chunk)
    check_tree(settings.tree)
    check_providers(settings.providers)
    return settings


def load_client_settings() -> ClientSettings:
    """Raises SettingsError."""
    return loaded(ClientSettings)


Loaded = TypeVar("Loaded", bound=SettingsGroup)


def loaded(group: type[Loaded]) -> Loaded:
    try:
        return group()
    except ValidationError as error:
        # The error's title is the class of the group that the setting belongs to.
        owner = next((kind for kind in groups_of(group) if kind.__name__ == error.title), group)
        lines = [
            f"{'.'.join([environment_name(owner, str(e['loc'][0])), *map(str, e['loc'][1:])])}: {e['msg']}"
            for e in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
    except PydanticSettingsError as error:
        raise SettingsError(str(error)) from None


def groups_of(group: type[SettingsGroup]) -> Iterator[type[SettingsGroup]]:
    yield group
    for field in group.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsGroup):
            yield from groups_of(field.annotation)


def environment_name(group: type[SettingsGroup], field: str) -> str:
    """The variable that a setting is read from, such as RAPTOR_CHUNK_SIZE."""
    if field not in group.model_fields:
        return field  # validation reports a field with an alias by that alias
    alias = group.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"{group.model_config['env_prefix']}{field}".upper()


def check_chunks(settings: ChunkSettings) -> None:
    """Raises SettingsError."""
    if settings.overlap >= settings.size:
        size, overlap = (environment_name(ChunkSettings, name) for name in ("size", "overlap"))
        raise SettingsError(f"{overlap}: it must be smaller than {size}")


def check_tree(settings: TreeSettings) -> None:
    """Raises SettingsError."""
    from services.clustering import InvalidGrouping

    prefix = TreeSettings.model_config["env_prefix"]
    for read, family in ((settings.params, "…"), (settings.maintenance, "MAINTENANCE_…")):
        try:
            read()
        except (InvalidRequest, InvalidGrouping) as error:
            raise SettingsError(f"{prefix}{family}: {error.message}") from None


def check_providers(settings: ProviderSettings) -> None:
    """Raises SettingsError."""

    def name_of(field: str) -> str:
        return environment_name(ProviderSettings, field)

    try:
        load_models(settings.models_file)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{name_of('models_file')}: {error}") from None
    override = settings.provider_base_url_override
    if override is not None and not re.fullmatch(r"https?://[^/?#@\s]+/?", override):
        wanted = "give scheme, host and port, such as http://127.0.0.1:8100"
        raise SettingsError(f"{name_of('provider_base_url_override')}: {wanted}")
    for provider, url in settings.provider_base_urls.items():
        try:
            checked_base_url(url, allow_private=settings.allow_private_providers)
        except BaseUrlRefused as error:
            raise SettingsError(f"{name_of('provider_base_urls')}, {provider}: {error}") from None


def child_environment(database_url: str) -> dict[str, str]:
    """For a child process, so that it has the same settings and the same database."""
    return dict(os.environ) | {"DATABASE_URL": database_url}
