"""Jobs: waited for, followed, cancelled, tried again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.container import Container
from infra.compute import ProcessPool
from tests.client import ApiClient, error_of
from tests.conftest import running_worker
from tests.factories import handbook, page
from tests.worker_processes import until_idle


async def test_respond_async_answers_at_once_with_the_job(api: ApiClient) -> None:
    response = await api.upload(page("bees"), headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    body = response.json()
    assert body["code"] == 202
    data = body["data"]
    assert (data["status"], data["tree_id"]) == ("queued", None)
    assert response.headers["location"] == f"/v1/jobs/{data['job_id']}"
    assert response.headers["preference-applied"] == "respond-async"
    job = await api.job(data["job_id"])
    assert (job["status"], job["job_type"], job["attempts"]) == ("queued", "ingest", 0)


async def test_wait_answers_when_its_seconds_are_over(api: ApiClient) -> None:
    response = await api.upload(page("bees"), headers={"Prefer": "wait=1"})
    assert (response.status_code, response.json()["data"]["status"]) == (202, "queued")


@pytest.mark.usefixtures("running")
async def test_wait_answers_earlier_when_the_work_is_done(api: ApiClient) -> None:
    response = await api.upload(page("bees"), headers={"Prefer": "wait=60"})
    assert (response.status_code, response.json()["data"]["status"]) == (200, "embedded")


async def test_a_second_upload_of_what_is_on_its_way_joins_its_job(api: ApiClient) -> None:
    first = await api.submit(page("bees"))
    second = await api.submit(page("bees"))
    assert second["job_id"] == first["job_id"]


@pytest.mark.usefixtures("running")
async def test_a_job_tells_what_it_took(api: ApiClient) -> None:
    data = await api.ingest(handbook())
    job = await api.job(data["job_id"])
    assert job["status"] == "succeeded"
    assert job["progress"] == 1.0
    assert job["result"]["tree_id"] == data["tree_id"]
    assert job["result"]["chunks"] == data["chunks"]
    assert job["duration_s"] > 0
    build = next(job for job in (await api.data("/v1/jobs"))["items"] if job["job_type"] == "build")
    assert {"cluster_s", "db_s", "wall_s"} <= set(build["timings"])
    assert {"depth", "summaries", "leaves", "wall_to_floor"} <= set(build["result"])


@pytest.mark.usefixtures("running")
async def test_events_follow_a_job_to_its_end(api: ApiClient) -> None:
    sent = await api.submit(handbook())
    events: list[tuple[str, dict[str, Any]]] = []
    numbers: list[str] = []
    async with api.http.stream("GET", f"/v1/jobs/{sent['job_id']}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in response.aiter_lines():
            if line.startswith("event:"):
                name = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                events.append((name, json.loads(line.removeprefix("data:"))))
            elif line.startswith("id:"):
                numbers.append(line.removeprefix("id:").strip())
    assert [name for name, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1][0] == "done"
    assert events[-1][1]["status"] == "succeeded"
    assert len(events) > 1
    assert numbers == [str(number) for number in range(len(events))]


async def test_a_queued_job_is_cancelled_at_once_and_can_be_taken_up_again(
    api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    sent = await api.submit(page("bees"))
    cancelled = await api.post(f"/v1/jobs/{sent['job_id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["data"]["status"]) == (202, "cancelled")
    assert (await api.job(sent["job_id"]))["error"]["code"] == "cancelled"

    async with running_worker(container.settings, database_url, pool):
        # One that was sent later is done: the cancelled one has had its turn.
        await api.ingest(page("salt"), name="later.md", build_tree="false")
        assert (await api.job(sent["job_id"]))["status"] == "cancelled"
        again = (await api.post(f"/v1/jobs/{sent['job_id']}/retry")).json()["data"]
        assert (await api.finished(again["job_id"]))["status"] == "succeeded"
    assert (await api.retrieve("honey"))["results"]


@pytest.mark.usefixtures("running")
async def test_a_running_job_stops_when_it_is_cancelled(api: ApiClient, database_url: str) -> None:
    line = "".join(f"word{i} " for i in range(500_000))
    sent = await api.submit(line, build_tree="false")
    while (await api.job(sent["job_id"]))["status"] == "queued":
        await asyncio.sleep(0.02)
    await api.post(f"/v1/jobs/{sent['job_id']}/cancel")
    await until_idle(database_url)
    job = await api.job(sent["job_id"])
    assert job["status"] == "cancelled"
    assert (await api.data("/v1/datasets/ds"))["chunks"] == 0


@pytest.mark.usefixtures("running")
async def test_a_job_that_has_succeeded_is_neither_cancelled_nor_retried(api: ApiClient) -> None:
    data = await api.ingest(page("bees"))
    assert (await api.post(f"/v1/jobs/{data['job_id']}/cancel")).json()["data"]["status"] == "succeeded"
    assert error_of(await api.post(f"/v1/jobs/{data['job_id']}/retry")) == (409, "version_conflict")


async def test_a_second_rebuild_while_one_runs_is_refused(
    api: ApiClient, container: Container, database_url: str, pool: ProcessPool
) -> None:
    async with running_worker(container.settings, database_url, pool):
        await api.ingest(handbook(40))
        first = await api.post("/v1/datasets/ds/rebuild", json={"tree": {"seed": 7}})
        assert first.status_code == 202
        job = first.json()["data"]["job_id"]
        while (await api.job(job))["status"] == "queued":
            await asyncio.sleep(0.01)
        if (await api.job(job))["status"] == "running":
            assert error_of(await api.post("/v1/datasets/ds/rebuild")) == (409, "already_running")
        assert (await api.finished(job))["status"] == "succeeded"
    assert (await api.data("/v1/datasets/ds/tree"))["params"]["seed"] == 7


@pytest.mark.usefixtures("running")
async def test_a_rebuild_of_what_has_not_changed_keeps_the_tree(api: ApiClient) -> None:
    data = await api.ingest(handbook())
    job = (await api.post("/v1/datasets/ds/rebuild")).json()["data"]["job_id"]
    finished = await api.finished(job)
    assert (finished["status"], finished["result"]["unchanged"]) == ("succeeded", True)
    assert (await api.data("/v1/datasets/ds/tree"))["tree_id"] == data["tree_id"]


@pytest.mark.parametrize(
    "tree",
    [{"grouper": "guess"}, {"min_k": 0}, {"levels_cap": 0}, {"seed": "x"}, {"mystery": 1}, {"token_budget": 1}],
    ids=str,
)
async def test_tree_parameters_that_make_no_sense_are_refused(api: ApiClient, tree: dict[str, Any]) -> None:
    await api.submit(page("bees"))
    assert error_of(await api.post("/v1/datasets/ds/rebuild", json={"tree": tree})) == (422, "validation_error")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("grouper", ["umap_gmm", "umap_gmm_reference", "contiguous", "headings"])
async def test_a_dataset_chooses_its_grouper(api: ApiClient, grouper: str) -> None:
    await api.ingest(handbook())
    job = (await api.post("/v1/datasets/ds/rebuild", json={"tree": {"grouper": grouper, "seed": 1}})).json()["data"][
        "job_id"
    ]
    assert (await api.finished(job))["status"] == "succeeded"
    tree = await api.data("/v1/datasets/ds/tree")
    assert tree["params"]["grouper"] == grouper
    assert tree["levels"][0]["nodes"] == 1


@pytest.mark.usefixtures("running")
async def test_levels_cap_puts_one_root_over_the_last_level(api: ApiClient) -> None:
    await api.ingest(handbook(40))
    job = (await api.post("/v1/datasets/ds/rebuild", json={"tree": {"levels_cap": 1}})).json()["data"]["job_id"]
    await api.finished(job)
    levels = {level["level"]: level["nodes"] for level in (await api.data("/v1/datasets/ds/tree"))["levels"]}
    assert sorted(levels) == [0, 1, 2]
    assert levels[2] == 1
    assert levels[1] > 2
