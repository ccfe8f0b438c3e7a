"""The composition root: the only place where a concrete class meets the port it stands behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version

import httpx2
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.resources import migrations_folder
from app.settings import Settings
from constants.queue import (
    DELIVER_WEBHOOK,
    DROP_VECTOR_INDEXES,
    EXPIRE_UPLOADS,
    JOB_CHANGES,
    PURGE_PAID_RESULTS,
    REMOVE_OLD_DELIVERIES,
    REMOVE_OLD_GENERATIONS,
)
from infra.compute import ProcessPool
from infra.db.engine import create_engine
from infra.db.health import database_checks, needed_checks
from infra.db.migrate import Migrations
from infra.db.notices import Notices
from infra.db.vector_indexes import VectorIndexes
from infra.limiter import Limiter, Limits
from infra.model_registry import load_models
from infra.models import OpenModels
from infra.paid.results import PaidResults, Retention
from infra.providers.access import ProviderAccess
from infra.providers.http import http_client
from infra.retrying import RetryPolicy
from infra.secrets import secret_box
from infra.webhooks import GuardedAddresses, SignedSender
from interfaces_adaptor.gateways.readers import readers_for
from interfaces_adaptor.http.dependencies import Services
from interfaces_adaptor.jobs.queue import PeriodicTask, QueuedTask
from interfaces_adaptor.repositories import Storage
from interfaces_adaptor.repositories.keys import SqlKeyStore
from interfaces_adaptor.repositories.old_generations import datasets_with_old_generations
from interfaces_adaptor.repositories.uploads import remove_expired_uploads
from interfaces_adaptor.repositories.webhooks import remove_old_deliveries
from services.access import ApiKeys
from services.clustering.warm_up import warm_up
from services.compute import Compute
from services.cost.budget import Budget
from services.cost.estimate import CostEstimator
from services.datasets import DatasetEditor
from services.documents import DocumentEditor
from services.health import Health, embedder_check
from services.ingest.index import DocumentIndexer
from services.ingest.upload import DocumentIngestor
from services.ingest.uploads import UploadSessions
from services.jobs.follow import JobFollower
from services.jobs.runner import JobKind, JobRunner
from services.lifecycle import Lifecycle
from services.models.embed_texts import TextEmbedder
from services.retrieval.answer import Answerer
from services.retrieval.retrieve import Retriever
from services.tree.build import TreeBuilder
from services.tree.generations import OldGenerations
from services.tree.grow import TreeGrower
from services.tree.maintain import TreeMaintainer
from services.tree.mend import TreeMender
from services.tree.rewriting import Rewriting
from services.webhooks import WebhookDeliverer, Webhooks

# Orphans are dropped when a dataset is deleted; once a day those that a crash left behind.
HOURLY, DAILY = "7 * * * *", "17 3 * * *"


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
    periodic: tuple[PeriodicTask, ...]
    tasks: tuple[QueuedTask, ...]


@asynccontextmanager
async def open_container(settings: Settings, database_url: str) -> AsyncIterator[Container]:
    engine = create_engine(
        database_url, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_seconds
    )
    storage = partial(Storage, engine)
    secrets = secret_box(secret_value(settings.secret_key), settings.data_dir)
    async with http_client() as http:
        # A thread, so that 64 long texts for the built-in embedder do not hold up the other requests.
        models = open_models(settings, engine, http, asyncio.to_thread)
        retriever = Retriever(storage, models, timeout_s=settings.database.search_timeout_seconds)
        readers = readers_for(settings.http.file_suffixes)
        ingestor = DocumentIngestor(
            storage, readers, models, secrets, settings.default_vector_index, settings.tree_params
        )
        services = Services(
            ingestor=ingestor,
            uploads=UploadSessions(
                storage,
                ingestor,
                Rewriting(models, secrets, settings.tree_params.summary_llm),
                lasts=timedelta(hours=settings.http.upload_hours),
            ),
            retriever=retriever,
            answerer=Answerer(retriever, models, storage),
            embedder=TextEmbedder(models),
            lifecycle=Lifecycle(storage, settings.tree_params, models, secrets),
            documents=DocumentEditor(storage),
            datasets=DatasetEditor(storage, models, settings.tree_params, settings.default_vector_index),
            estimator=CostEstimator(storage, readers, models, settings.tree_params),
            follower=JobFollower(storage, Notices(database_url, engine, JOB_CHANGES)),
            webhooks=Webhooks(storage, secrets, GuardedAddresses(allow_private=settings.webhooks.allow_private)),
            models=models,
            open_storage=storage,
        )
        health = Health(
            version("raptor-service"),
            needed=needed_checks(engine, Migrations(migrations_folder())),
            others={**database_checks(engine), "embedder": embedder_check(models)},
        )
        try:
            yield Container(settings, engine, services, ApiKeys(SqlKeyStore(engine)), health)
        finally:
            await services.follower.close()
            await engine.dispose()


@asynccontextmanager
async def open_worker(
    settings: Settings,
    database_url: str,
    *,
    pool: ProcessPool | None = None,
    storage_class: type[Storage] = Storage,
) -> AsyncIterator[WorkerContainer]:
    """`pool` is one that outlives the worker; without it the worker warms and closes its own."""
    engine = create_engine(
        database_url, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_seconds
    )
    storage = partial(storage_class, engine)
    secrets = secret_box(secret_value(settings.secret_key), settings.data_dir)
    try:
        async with nullcontext(pool) if pool else warm_pool(settings) as compute, http_client() as http:
            models = open_models(settings, engine, http, compute)
            indexer = DocumentIndexer(storage, models, compute, secrets)
            grower = TreeGrower(storage, compute)
            maintainer = TreeMaintainer(storage, settings.tree.maintenance(), compute)
            old = OldGenerations(storage, settings.generations.retention)
            longest_wait_s = settings.tree.debounce_max_seconds
            builder = TreeBuilder(
                storage, settings.tree_params, longest_wait_s, models, grower, maintainer, compute, old
            )
            mender = TreeMender(storage, settings.tree_params, models, grower, compute, old)
            indexes = VectorIndexes(engine, settings.vector_index_from)
            runner = JobRunner(
                storage,
                {
                    "ingest": JobKind(indexer.index, index_every_s=60.0),
                    "build": JobKind(builder.build, builder.delay),
                    "mend": JobKind(mender.mend),
                },
                indexes.keep,
                secrets,
                Budget(**settings.budget.model_dump()),
            )
            periodic = periodic_tasks(settings, engine, indexes, old)
            async with webhook_sender(settings) as sender:
                deliverer = WebhookDeliverer(storage, secrets, sender, settings.webhooks.retry_seconds)
                tasks = (QueuedTask(DELIVER_WEBHOOK, deliverer.deliver),)
                yield WorkerContainer(settings, engine, runner, indexes, periodic, tasks)
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


@asynccontextmanager
async def webhook_sender(settings: Settings) -> AsyncIterator[SignedSender]:
    sender = SignedSender(allow_private=settings.webhooks.allow_private)
    try:
        yield sender
    finally:
        await sender.close()


def periodic_tasks(
    settings: Settings, engine: AsyncEngine, indexes: VectorIndexes, old: OldGenerations
) -> tuple[PeriodicTask, ...]:
    results, retention = PaidResults(engine), retention_of(settings)

    async def remove_old_generations() -> int:
        due = await datasets_with_old_generations(engine, settings.generations.retention)
        for tenant, dataset_id in due:
            await old.remove(tenant, dataset_id)
        return len(due)

    return (
        PeriodicTask(
            PURGE_PAID_RESULTS, settings.providers.paid_results_purge_cron, lambda: results.purge_all(retention)
        ),
        PeriodicTask(REMOVE_OLD_GENERATIONS, HOURLY, remove_old_generations),
        PeriodicTask(DROP_VECTOR_INDEXES, DAILY, indexes.drop_orphans),
        PeriodicTask(REMOVE_OLD_DELIVERIES, DAILY, lambda: remove_old_deliveries(engine)),
        PeriodicTask(EXPIRE_UPLOADS, HOURLY, lambda: remove_expired_uploads(engine)),
    )


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
