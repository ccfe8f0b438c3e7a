"""Who waits for a job is told by the database, and does not ask it again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import Engine, event, text

from app.container import Container
from constants.queue import JOB_CHANGES
from infra.compute import ProcessPool
from infra.db.notices import Notices
from interfaces_adaptor.clients.service_client import ServiceClient
from services.domain import DEFAULT_TENANT, EmbeddingSpace
from services.jobs.follow import JobFollower
from services.jobs.job import Job, NewJob
from tests.answering import listening
from tests.client import ApiClient
from tests.conftest import named, running_worker
from tests.factories import page

SPACE = EmbeddingSpace("builtin", "lexical-1", 1024)
MANY = 200
END = "update jobs set status = 'succeeded', progress = 1, finished_at = now(), updated_at = now()"


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that this process sends, whichever engine sends them."""
    sent: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def queued_jobs(container: Container, number: int) -> list[UUID]:
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("ds", SPACE, "exact")
        started = [await work.start_job(NewJob("ingest", "ds", f"doc {at}", None, "", {})) for at in range(number)]
        await work.commit()
    return started


async def execute(container: Container, statement: str, **values: Any) -> None:
    async with container.engine.begin() as connection:
        await connection.execute(text(statement), values)


@asynccontextmanager
async def followers(container: Container, jobs: list[UUID]) -> AsyncIterator[list[asyncio.Task[list[str]]]]:
    """A client a job that reads its events over HTTP; each has had the first one. A task's result is their names."""
    begun = asyncio.Semaphore(0)

    async def follow(http: httpx2.AsyncClient, job_id: UUID) -> list[str]:
        names: list[str] = []
        async with http.stream("GET", f"/v1/jobs/{job_id.hex}/events") as response:
            async for line in response.aiter_lines():
                if line.startswith("event:"):
                    names.append(line.removeprefix("event:").strip())
                    begun.release()
        return names

    unlimited = httpx2.Limits(max_connections=None)
    async with (
        listening(container) as url,
        httpx2.AsyncClient(base_url=url, limits=unlimited, timeout=60, trust_env=False) as http,
    ):
        tasks = [asyncio.create_task(follow(http, job)) for job in jobs]
        try:
            for _ in jobs:
                await begun.acquire()
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until_notices_arrive(container: Container) -> None:
    async with asyncio.timeout(20):
        while not container.services.follower.is_told:
            await asyncio.sleep(0.01)


async def test_many_who_wait_send_next_to_no_statements_and_hear_of_the_end_at_once(container: Container) -> None:
    jobs = await queued_jobs(container, MANY)
    async with followers(container, jobs) as tasks:
        await until_notices_arrive(container)
        await asyncio.sleep(0.5)
        with counted() as idle:
            await asyncio.sleep(4)
        assert len(idle) <= 4 * 5, f"{len(idle)} statements in 4 s"
        with counted() as sent:
            await execute(container, END)
            async with asyncio.timeout(10):
                ends = await asyncio.gather(*tasks)
        assert ends == [["progress", "done"]] * MANY
        reads = [
            statement for statement in sent if "from jobs" in statement.lower() or "join jobs" in statement.lower()
        ]
        assert len(reads) == 1, "one statement reads the jobs of all who wait"


async def test_only_those_hear_whose_dataset_has_changed(container: Container) -> None:
    (job,) = await queued_jobs(container, 1)
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("other", SPACE, "exact")
        other = await work.start_job(NewJob("ingest", "other", "doc", None, "", {}))
        await work.commit()
    async with followers(container, [job]) as tasks:
        await until_notices_arrive(container)
        await asyncio.sleep(0.3)
        with counted() as sent:
            await execute(container, END + " where job_id = :other", other=other)
            await asyncio.sleep(0.5)
        assert len(sent) == 1
        await execute(container, END + " where job_id = :job", job=job)
        assert await tasks[0] == ["progress", "done"]


async def test_nobody_is_read_for_who_has_hung_up(container: Container) -> None:
    jobs = await queued_jobs(container, 3)
    async with followers(container, jobs) as tasks:
        await until_notices_arrive(container)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.5)
        with counted() as sent:
            await execute(container, END)
            await asyncio.sleep(0.5)
        assert len(sent) == 1


async def test_a_job_that_is_deleted_ends_the_waiting_for_it(container: Container) -> None:
    jobs = await queued_jobs(container, 2)
    async with followers(container, jobs) as tasks:
        await until_notices_arrive(container)
        await execute(container, "delete from datasets")
        async with asyncio.timeout(10):
            assert await asyncio.gather(*tasks) == [["progress", "error"]] * 2


async def test_a_listening_connection_that_was_lost_is_opened_again_and_nothing_is_missed(container: Container) -> None:
    first, second = await queued_jobs(container, 2)
    async with followers(container, [first, second]) as tasks:
        await until_notices_arrive(container)
        await execute(
            container,
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query like 'LISTEN%'",
        )
        await execute(container, END + " where job_id = :job", job=first)
        async with asyncio.timeout(10):
            assert await tasks[0] == ["progress", "done"]
        await until_notices_arrive(container)
        await execute(container, END + " where job_id = :job", job=second)
        async with asyncio.timeout(10):
            assert await tasks[1] == ["progress", "done"]


async def test_where_notices_do_not_arrive_jobs_are_read_once_a_second(
    container: Container, server: str, database_url: str
) -> None:
    """As behind a pooler in transaction mode: LISTEN is taken, and nothing comes. Here it listens in another database,
    because notices never leave theirs."""
    jobs = await queued_jobs(container, 3)
    deaf = Notices(named(server, "postgres"), container.engine, JOB_CHANGES)
    follower = JobFollower(container.services.open_storage, deaf)

    async def last(job_id: UUID) -> Job:
        return [job async for job in follower.follow(DEFAULT_TENANT, job_id)][-1]

    try:
        waiting = [asyncio.create_task(last(job)) for job in jobs]
        await asyncio.sleep(0.5)
        await execute(container, END)
        async with asyncio.timeout(10):
            assert {job.status for job in await asyncio.gather(*waiting)} == {"succeeded"}
        assert not follower.is_told
    finally:
        await follower.close()


async def test_an_upload_that_waits_is_told_as_well(
    api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    async with running_worker(container.settings, database_url, pool):
        await api.ingest(page("bees"))
        await until_notices_arrive(container)
        with counted() as sent:
            await api.ingest(page("salt"), name="salt.md")
    assert [statement for statement in sent if "unnest" in statement and "JOIN jobs" in statement]


@pytest.mark.usefixtures("running")
async def test_the_client_waits_for_a_job_by_its_events(api: ApiClient, container: Container) -> None:
    asked: list[str] = []

    class Recording(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(request.url.path)
            return super().handle_request(request)

    async with listening(container) as url:
        sent = await api.submit(page("bees"))
        path = f"/v1/jobs/{sent['job_id']}"
        with ServiceClient(url, transport=Recording()) as client:
            job = await asyncio.to_thread(client.wait_for, sent["job_id"], timeout_s=60)
    assert job["status"] == "succeeded"
    assert asked == [path, f"{path}/events", path]


async def test_the_client_stops_waiting_when_its_time_is_over(container: Container) -> None:
    (job,) = await queued_jobs(container, 1)
    async with listening(container) as url:
        with ServiceClient(url) as client, pytest.raises(TimeoutError, match="still queued"):
            await asyncio.to_thread(client.wait_for, job.hex, timeout_s=1.0)
