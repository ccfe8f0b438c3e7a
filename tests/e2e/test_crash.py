"""Kill -9 of the worker at each commit boundary of an upload and its build: whatever was going on, the job ends well
after a restart, no document is lost, no chunk is there twice, and readers had a complete tree all the time."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import asyncpg
import pytest

from app.container import Container
from infra.compute import ProcessPool
from tests.client import ApiClient
from tests.conftest import running_worker
from tests.factories import handbook
from tests.libraries import handbooks
from tests.worker_processes import give_up_dead_workers, until_idle, worker_process

pytestmark = pytest.mark.filled_with(put=handbooks)

AFTER_THE_SWITCH = ("expire_generations", "remove_superseded_tree", "remove_superseded_versions")
# Each boundary of the first upload to a dataset with a tree. Held against what a whole run passes.
POINTS = [
    f"{side}:{write}"
    for write in (
        "claim_job",
        "add_chunks",
        "reuse_vectors",
        "add_vectors",
        "mark_embedded",
        "request_build",
        "begin_tree",
        "plan_level",
        "write_level",
        "succeed_job",
        *AFTER_THE_SWITCH,
    )
    for side in ("before", "after")
]


async def state_of(database_url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(database_url)
    try:
        return {
            "documents": await connection.fetchval("select count(*) from documents"),
            "chunks": await connection.fetchval("select count(*) from chunks"),
            "twice": await connection.fetchval("select count(*) - count(distinct (version_id, idx)) from chunks"),
            "without vector": await connection.fetchval(
                "select count(*) from chunks c"
                " where not exists (select from embeddings e where e.owner_id = c.chunk_id)"
            ),
            "trees": await connection.fetchval("select count(*) from trees where state = 'live'"),
            "unwritten": await connection.fetchval(
                "select count(*) from tree_nodes n join trees t using (tenant_id, tree_id)"
                " where t.state = 'live' and n.level > 0 and n.text is null"
            ),
            "secrets": await connection.fetchval("select count(*) from job_secrets"),
        }
    finally:
        await connection.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_is_killed_loses_nothing(
    point: str, api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    first = (await api.data("/v1/datasets/ds"))["live_tree"]
    sent = await api.submit(handbook(3), name="second.md")
    async with worker_process(database_url, point) as worker:
        async with asyncio.timeout(60):
            assert await worker.wait() == -signal.SIGKILL
    await give_up_dead_workers(database_url)

    found = await api.retrieve("honey in the hive")
    assert found["results"]
    switched = point == "after:succeed_job" or point.endswith(AFTER_THE_SWITCH)
    assert (found["tree_id"] == first["tree_id"]) is not switched

    async with running_worker(container.settings, database_url, pool):
        assert (await api.finished(sent["job_id"]))["status"] == "succeeded"
    state = await state_of(database_url)
    assert state == {
        "documents": 2,
        "chunks": state["chunks"],
        "twice": 0,
        "without vector": 0,
        "trees": 1,
        "unwritten": 0,
        "secrets": 0,
    }
    tree = await api.data("/v1/datasets/ds/tree", limit=500)
    assert sum(node["level"] == 0 for node in tree["items"]) == state["chunks"]


@pytest.mark.timeout(120)
async def test_these_are_all_the_points_that_a_run_passes(api: ApiClient, database_url: str) -> None:
    sent = await api.submit(handbook(3), name="second.md")
    async with worker_process(database_url) as worker:
        assert (await api.finished(sent["job_id"]))["status"] == "succeeded"
        await until_idle(database_url)
        worker.send_signal(signal.SIGTERM)
        output, _ = await worker.communicate()
    passed = {line for line in output.decode().split() if not line.endswith(":")}
    assert passed == set(POINTS)
