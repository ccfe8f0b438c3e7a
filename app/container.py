"""The composition root: the only place where a concrete class meets the port it stands behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import httpx2
import numpy as np
from pydantic import SecretStr
from sqlalchemy import exc as sa_exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.resources import migrations_folder
from app.settings import Settings
from constants.models import load_models
from infra.compute import ProcessPool
from infra.db.engine import create_engine
from infra.db.migrate import Migrations, current_revision
from infra.db.vector_indexes import VectorIndexes
from infra.limiter import Limiter, Limits
from infra.models import OpenModels
from infra.paid.results import PaidResults, Retention
from infra.providers.access import ProviderAccess
from infra.providers.http import http_client
from infra.retrying import RetryPolicy
from infra.secrets import secret_box
from infra.uow.sql import SqlUnitOfWork
from interfaces_adaptor.gateways.readers import READERS
from interfaces_adaptor.jobs.queue import Chore
from interfaces_adaptor.repositories import repositories_for
from interfaces_adaptor.repositories.keys import SqlKeyStore
from services.access import ApiKeys
from services.clustering import Frontier, GroupingParams, Matrix, load_grouper
from services.compute import Compute
from services.cost.budget import Budget
from services.cost.estimate import CostEstimator
from services.domain import TenantId
from services.health import Health, Part
from services.ingest.index import DocumentIndexer
from services.ingest.upload import DocumentIngestor
from services.jobs.job import Lease
from services.jobs.run import JobRunner
from services.lifecycle import Lifecycle
from services.models.embed_texts import TextEmbedder
from services.retrieval.answer import Answerer
from services.retrieval.retrieve import Retriever
from services.store import OpenUnitOfWork, UnitOfWork
from services.tree.build import Debounce, TreeBuilder
from services.tree.mend import TreeMender


@dataclass(frozen=True, slots=True)
class Container:
    """What an API process needs. It computes nothing heavy: clustering and its libraries stay in the workers."""

    settings: Settings
    engine: AsyncEngine
    services: Services
    access: ApiKeys
    health: Health


@dataclass(frozen=True, slots=True)
class WorkerContainer:
    """What a worker process needs."""

    settings: Settings
    engine: AsyncEngine
    runner: JobRunner
    indexes: VectorIndexes
    chores: tuple[Chore, ...]


@dataclass(frozen=True, slots=True)
class UnitsOfWork:
    """Opens units of work on one engine."""

    engine: AsyncEngine

    def __call__(self, tenant: TenantId, lease: Lease | None = None, *, snapshot: bool = False) -> UnitOfWork:
        return SqlUnitOfWork(self.engine, repositories_for, tenant, lease, snapshot=snapshot)


@asynccontextmanager
async def open_container(settings: Settings, database_url: str) -> AsyncIterator[Container]:
    engine = create_engine(
        database_url, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_seconds
    )
    units = UnitsOfWork(engine)
    secrets = secret_box(secret_value(settings.secret_key), settings.data_dir)
    async with http_client() as http:
        # A thread, so that 64 long texts for the built-in embedder do not hold up the other requests.
        models = open_models(settings, engine, http, asyncio.to_thread)
        retriever = Retriever(units, models, timeout_s=settings.database.search_timeout_seconds)
        services = Services(
            ingestor=DocumentIngestor(units, READERS, models, secrets, settings.default_vector_index),
            retriever=retriever,
            answerer=Answerer(retriever, models, units),
            embedder=TextEmbedder(models),
            lifecycle=Lifecycle(units, settings.tree_params, models, secrets),
            estimator=CostEstimator(units, READERS[".md"], models, settings.tree_params),
            models=models,
            open_unit_of_work=units,
        )
        try:
            yield Container(settings, engine, services, ApiKeys(SqlKeyStore(engine)), health_of(engine))
        finally:
            await engine.dispose()


@asynccontextmanager
async def open_worker(
    settings: Settings,
    database_url: str,
    *,
    pool: ProcessPool | None = None,
    units_on: Callable[[AsyncEngine], OpenUnitOfWork] = UnitsOfWork,
) -> AsyncIterator[WorkerContainer]:
    """`pool` is one that outlives the worker; without it the worker warms and closes its own."""
    engine = create_engine(
        database_url, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_seconds
    )
    units = units_on(engine)
    secrets = secret_box(secret_value(settings.secret_key), settings.data_dir)
    try:
        async with nullcontext(pool) if pool else warm_pool(settings) as compute, http_client() as http:
            models = open_models(settings, engine, http, compute)
            indexer = DocumentIndexer(units, models, compute, secrets)
            debounce = Debounce(settings.tree.debounce_seconds, settings.tree.debounce_max_seconds)
            builder = TreeBuilder(units, settings.tree_params, debounce, models, compute)
            mender = TreeMender(units, settings.tree_params, models, builder)
            indexes = VectorIndexes(engine, settings.vector_index_from)
            runner = JobRunner(
                units,
                {"ingest": indexer.index, "build": builder.build, "mend": mender.mend},
                {"build": builder.delay},
                indexes,
                secrets,
                Budget(**settings.budget.model_dump()),
            )
            yield WorkerContainer(settings, engine, runner, indexes, chores_of(settings, engine))
    finally:
        await engine.dispose()


@asynccontextmanager
async def warm_pool(settings: Settings) -> AsyncIterator[ProcessPool]:
    """A process pool that warms itself while the worker begins its work."""
    pool = ProcessPool(settings.worker.processes or None, partial(warm_up, settings.tree.grouper))
    warming = asyncio.create_task(pool.warm())
    try:
        yield pool
    finally:
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        pool.close()


def chores_of(settings: Settings, engine: AsyncEngine) -> tuple[Chore, ...]:
    """What a worker does now and then."""
    results, retention = PaidResults(engine), retention_of(settings)
    every_s = 60 * settings.providers.paid_results_purge_minutes
    return (Chore("purge of paid results", every_s, lambda: results.purge_all(retention)),)


def retention_of(settings: Settings) -> Retention:
    return Retention(settings.providers.paid_results_days, settings.providers.paid_results_bytes)


def open_models(
    settings: Settings, engine: AsyncEngine, http: httpx2.AsyncClient, compute: Compute | None = None
) -> OpenModels:
    """The models that the settings allow. `compute` runs the built-in ones in a process pool."""
    providers = settings.providers
    registry = load_models(providers.models_file)
    return OpenModels(
        registry=registry,
        access=ProviderAccess(
            registry, providers.keys, providers.provider_base_urls, providers.provider_base_url_override
        ),
        results=PaidResults(engine),
        limiter=Limiter(engine),
        http=http,
        limits={
            name: Limits(limit.rpm, limit.tpm, limit.concurrency, limit.min_interval, window_s=limit.window)
            for name, limit in providers.provider_limits.items()
        },
        retries=RetryPolicy(
            attempts=providers.provider_attempts,
            call_s=providers.provider_timeout_seconds,
            first_s=providers.provider_retry_seconds,
        ),
        compute=compute,
        summary_fallback=providers.summary_fallback == "extractive",
        default_chat_name=settings.default_summary_llm,
        default_embedder_name=settings.default_embedder,
    )


def secret_value(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def warm_up(grouper: str) -> None:
    """Groups a small level in each process of the pool, so that the first build does not wait until the libraries are
    loaded and their code is compiled. A grouper that has none spares each process seconds of a core."""
    n = 64
    vectors = np.random.default_rng(0).standard_normal((n, 32), np.float32)
    frontier = Frontier(
        vectors=Matrix.of(vectors),
        tokens=np.ones(n, np.int64),
        keys=[str(i) for i in range(n)],
        order=[("", i) for i in range(n)],
        paths=[()] * n,
    )

    async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    asyncio.run(load_grouper(grouper)(frontier, GroupingParams(), at_once))


def health_of(engine: AsyncEngine) -> Health:
    migrations = Migrations(migrations_folder())

    async def database() -> Part:
        try:
            async with engine.connect() as connection:
                server = await connection.scalar(text("show server_version"))
                vector = await connection.scalar(text("select extversion from pg_extension where extname = 'vector'"))
        except (sa_exc.SQLAlchemyError, OSError) as error:
            return Part(False, f"does not answer ({type(error).__name__})", needed=True)
        return Part(True, f"Postgres {server}, pgvector {vector}", needed=True)

    async def schema() -> Part:
        try:
            async with engine.connect() as connection:
                current = await current_revision(connection)
        except (sa_exc.SQLAlchemyError, OSError):
            return Part(False, "unknown while the database does not answer", needed=True)
        if current != migrations.head:
            return Part(False, f"at {current}, this version needs {migrations.head}: run `raptor migrate`", needed=True)
        return Part(True, f"at {current}", needed=True)

    async def workers() -> Part:
        try:
            async with engine.connect() as connection:
                alive = await connection.scalar(
                    text(
                        "select count(*) from procrastinate_workers where last_heartbeat > now() - interval '1 minute'"
                    )
                )
        except (sa_exc.SQLAlchemyError, OSError):
            return Part(False, "unknown while the database does not answer")
        return Part(bool(alive), f"{alive} alive" if alive else "none alive: start `raptor worker`")

    return Health(version("raptor-service"), {"database": database, "schema": schema, "workers": workers})
