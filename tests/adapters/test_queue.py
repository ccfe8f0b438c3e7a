"""The queue's row is made by procrastinate's own function, in the transaction of the work that it stands for."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from app.container import Container
from constants.queue import QUEUE, RUN_JOB
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from interfaces_adaptor.jobs.queue import job_queue, rescue
from services.domain import DEFAULT_TENANT, EmbeddingSpace
from services.jobs.job import NewJob
from tests.client import ApiClient
from tests.conftest import running_worker
from tests.factories import page
from tests.worker_processes import until_idle

SPACE = EmbeddingSpace("builtin", "lexical-1", 1024)
BUILD = NewJob(job_type="build", dataset_id="ds", doc_id=None, version_id=None, payer="", params={})


async def test_our_row_is_the_row_that_procrastinate_itself_would_insert(
    container: Container, database_url: str
) -> None:
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("ds", SPACE, "exact")
        job_id = await work.start_job(BUILD)
        await work.commit()
    app = job_queue(libpq_url(database_url))

    @app.task(name=RUN_JOB, queue=QUEUE)
    async def run_job(tenant_id: str, job_id: str) -> None: ...

    async with app.open_async():
        await run_job.configure(lock="build/default/ds").defer_async(tenant_id="default", job_id=str(job_id))
    async with container.engine.connect() as connection:
        rows = (await connection.execute(text("select * from procrastinate_jobs order by id"))).mappings().all()
    ours, theirs = ({name: value for name, value in row.items() if name != "id"} for row in rows)
    assert ours == theirs


async def test_a_job_and_its_place_in_the_queue_are_there_together_or_not_at_all(container: Container) -> None:
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("ds", SPACE, "exact")
        await work.start_job(BUILD)
    async with container.engine.connect() as connection:
        for table in ("datasets", "jobs", "procrastinate_jobs"):
            assert await connection.scalar(text(f"select count(*) from {table}")) == 0


async def test_the_job_of_a_dead_worker_is_taken_up_by_another(
    api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    sent = await api.submit(page("bees"))
    async with container.engine.begin() as connection:
        # As a worker leaves it that was killed a minute ago.
        worker = await connection.scalar(
            text("insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 minute') returning id")
        )
        await connection.execute(
            text("update procrastinate_jobs set status = 'doing', worker_id = :worker"), {"worker": worker}
        )
        await connection.execute(text("update jobs set status = 'running', attempts = 1"))

    async with running_worker(container.settings, database_url, pool):
        job = await api.finished(sent["job_id"])

    assert (job["status"], job["attempts"]) == ("succeeded", 2)


async def test_a_stalled_job_is_rescued_once(container: Container, database_url: str) -> None:
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("ds", SPACE, "exact")
        await work.start_job(BUILD)
        await work.commit()
    async with container.engine.begin() as connection:
        await connection.execute(text("update procrastinate_jobs set status = 'doing'"))
    app = job_queue(libpq_url(database_url))
    async with app.open_async():
        rescued = await asyncio.gather(*(rescue(app, 5.0) for _ in range(4)))
    assert sum(rescued) == 1


async def test_a_job_that_ends_its_worker_again_and_again_fails(
    api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    sent = await api.submit(page("bees"))
    async with container.engine.begin() as connection:
        await connection.execute(text("update jobs set status = 'running', attempts = 5"))
    async with running_worker(container.settings, database_url, pool):
        job = await api.finished(sent["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "attempts_exhausted")
    assert UUID(job["id"])


@pytest.mark.timeout(60)
async def test_finished_work_leaves_no_rows_in_the_queue(
    api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    async with running_worker(container.settings, database_url, pool):
        await api.ingest(page("bees"))
        await until_idle(database_url)


@pytest.mark.timeout(60)
async def test_a_worker_that_is_told_to_stop_while_it_starts_stops(
    container: Container, database_url: str, pool: ProcessPool
) -> None:
    before = len(asyncio.all_tasks())
    for moment in range(40):
        async with running_worker(container.settings, database_url, pool):
            await asyncio.sleep(0.003 * moment)
    assert len(asyncio.all_tasks()) == before, "a stopped worker left tasks behind"
