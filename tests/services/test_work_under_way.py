"""Work that is under way meets change: newer versions, cancelled uploads, deletions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from app.container import Container, open_container
from app.settings import Settings
from fake_provider import running_fake_provider
from infra.compute import ProcessPool
from services.cost.budget import Budget, Keys
from services.domain import DEFAULT_TENANT
from services.ingest.index import DocumentIndexer
from services.jobs.run import JobRun
from tests.client import ApiClient
from tests.conftest import api_client, running_worker
from tests.factories import TOPICS, page
from tests.paying import paying


def topic(number: int) -> str:
    return page(list(TOPICS)[number % len(TOPICS)], 4)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that a build waits; a test sets them to 0 to let it begin."""
    waiting = [3600.0]
    monkeypatch.setattr("services.tree.build.pause_of", lambda *_: waiting[0])
    return waiting


@pytest.fixture
async def slow(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[ApiClient]:
    """A service whose models take their time, so that a build can be met while it runs."""
    with running_fake_provider(latency_s=0.15) as provider:
        settings = paying(settings, provider)
        async with (
            open_container(settings, database_url) as container,
            running_worker(settings, database_url, pool),
            api_client(container) as api,
        ):
            yield api


async def jobs_of(api: ApiClient, kind: str) -> list[dict[str, Any]]:
    jobs = (await api.data("/v1/jobs", limit=500))["items"]
    return [job for job in jobs if job["job_type"] == kind]


async def found_in(api: ApiClient, query: str) -> set[str]:
    return {hit["doc_id"] for hit in (await api.retrieve(query, top_k=100))["results"] if hit["kind"] == "leaf"}


async def test_of_quick_versions_only_the_newest_is_worked_on(
    api: ApiClient, settings: Settings, database_url: str, pool: ProcessPool
) -> None:
    sent = [await api.submit(f"# Draft\n\nDraft number {number}.\n", doc_id="draft") for number in range(6)]
    async with running_worker(settings, database_url, pool):
        last = await api.finished(sent[-1]["job_id"])
    assert (last["status"], last["result"]["documents"]) == ("succeeded", 1)
    for older in sent[:-1]:
        job = await api.job(older["job_id"])
        assert (job["status"], job["attempts"] > 0, "superseded_by" in job["result"]) == ("succeeded", True, True)
    versions = (await api.data("/v1/documents/draft/versions"))["items"]
    served = [(one["number"], one["state"], one["chunks"]) for one in versions if one["state"] != "superseded"]
    assert served == [(6, "ready", 1)]
    assert {one["chunks"] for one in versions if one["state"] == "superseded"} <= {None}


@pytest.mark.usefixtures("running")
async def test_a_cancelled_upload_never_goes_live(api: ApiClient, held: list[float]) -> None:
    cancelled = await api.submit(topic(0), doc_id="cancelled")
    await api.stage(cancelled["job_id"], "waiting_for_tree")
    assert await found_in(api, "honey") == {"cancelled"}
    await api.post(f"/v1/jobs/{cancelled['job_id']}/cancel")
    held[0] = 0.0
    await api.ingest(topic(1), doc_id="other")
    assert await found_in(api, "honey") == {"other"}
    assert (await api.data("/v1/datasets/ds"))["staleness"]["documents_outside_tree"] == 0
    versions = (await api.data("/v1/documents/cancelled/versions"))["items"]
    assert [version["state"] for version in versions] == ["failed"]

    again = await api.post(f"/v1/jobs/{cancelled['job_id']}/retry")
    assert (await api.finished(again.json()["data"]["job_id"]))["status"] == "succeeded"
    assert await found_in(api, "honey") == {"cancelled", "other"}


async def test_an_upload_that_is_cancelled_while_its_tree_is_built_is_not_in_that_tree(slow: ApiClient) -> None:
    await slow.ingest(topic(0), doc_id="first")
    sent = [await slow.submit(topic(number), doc_id=f"d{number}") for number in (1, 2)]
    await slow.stage(sent[0]["job_id"], "level 1: summarise")
    await slow.post(f"/v1/jobs/{sent[0]['job_id']}/cancel")
    assert (await slow.finished(sent[1]["job_id"]))["status"] == "succeeded"
    assert await found_in(slow, "honey") == {"first", "d2"}
    tree = await slow.data("/v1/datasets/ds/tree", limit=500)
    assert {level["level"]: level["nodes"] for level in tree["levels"]}[0] == 2


@pytest.mark.usefixtures("running")
async def test_a_retried_build_does_not_bring_cancelled_uploads_back(api: ApiClient, held: list[float]) -> None:
    sent = [await api.submit(topic(number), doc_id=f"d{number}") for number in range(3)]
    for one in sent:
        await api.stage(one["job_id"], "waiting_for_tree")
    await api.post(f"/v1/jobs/{sent[0]['job_id']}/cancel")
    [build] = await jobs_of(api, "build")
    await api.post(f"/v1/jobs/{build['id']}/cancel")
    assert {(await api.job(one["job_id"]))["status"] for one in sent} == {"cancelled"}
    assert (await api.data("/v1/datasets/ds"))["documents"] == 3
    held[0] = 0.0
    again = await api.post(f"/v1/jobs/{build['id']}/retry")
    assert (await api.finished(again.json()["data"]["job_id"]))["status"] == "succeeded"
    assert [(await api.job(one["job_id"]))["status"] for one in sent] == ["cancelled", "succeeded", "succeeded"]
    assert await found_in(api, "honey") == {"d1", "d2"}


async def test_hard_deletions_and_uploads_while_trees_are_built_fail_no_job(slow: ApiClient) -> None:
    await asyncio.gather(*(slow.ingest(topic(number), doc_id=f"d{number}") for number in range(6)))
    for step in range(12):
        gone = f"d{step % 6}"
        await slow.delete(f"/v1/documents/{gone}", params={"hard": "true"})
        await slow.submit(topic(step) + f"\nStep {step}.\n", doc_id=gone)
        await asyncio.sleep(0.1)
    for job in (await slow.data("/v1/jobs", limit=500))["items"]:
        ended = await slow.finished(job["id"])
        assert ended["status"] in ("succeeded", "cancelled"), ended
    dataset = await slow.data("/v1/datasets/ds")
    assert (dataset["documents"], dataset["tree_status"], dataset["staleness"]["stale"]) == (6, "live", False)


@pytest.mark.usefixtures("running")
async def test_a_deleted_text_does_not_come_back_with_a_new_one(api: ApiClient, held: list[float]) -> None:
    held[0] = 0.0
    await api.ingest("# Queen\n\nThe queen is called Wilhelmina.\n", doc_id="queen")
    await api.ingest(topic(1), doc_id="other")
    await api.delete("/v1/documents/queen")
    held[0] = 3600.0
    sent = await api.submit("# Queen\n\nThe queen is called Ottoline.\n", doc_id="queen")
    for _ in range(20):
        found = str((await api.retrieve("Who is the queen?", top_k=50))["results"])
        assert "Wilhelmina" not in found
        if "Ottoline" in found:
            break
        await asyncio.sleep(0.1)
    await api.stage(sent["job_id"], "waiting_for_tree")
    assert "Ottoline" in str((await api.retrieve("Who is the queen?", top_k=50))["results"])


class Gate:
    """Holds a step of the worker until a test lets it go on."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, step: str) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        original = getattr(owner, step)

        async def held(*args: Any, **named: Any) -> Any:
            self.reached.set()
            await self.open.wait()
            return await original(*args, **named)

        patch.setattr(owner, step, held)


async def test_uploads_that_are_cancelled_one_after_the_other_do_not_end_the_build(
    api: ApiClient, container: Container
) -> None:
    await api.submit(topic(0))
    open_storage = container.services.open_storage
    async with open_storage(DEFAULT_TENANT) as work:
        build = await work.request_build("ds", "")
        for _ in range(20):
            claimed = await work.claim_job(build)
            assert claimed is not None
            run = JobRun(open_storage, DEFAULT_TENANT, *claimed, Keys(), Budget())
            assert run.attempt == 1
            await work.begin_builds_anew("ds", "")


@pytest.mark.usefixtures("running")
async def test_a_rebuild_takes_nothing_from_an_upload_that_is_still_indexed(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.ingest(topic(0), doc_id="first")
    gate = Gate(monkeypatch, DocumentIndexer, "_hand_over")
    documents = [{"doc_id": f"d{number}", "text": topic(number)} for number in (1, 2)]
    sent = await api.post("/v1/documents/batch", json={"dataset_id": "ds", "documents": documents})
    await asyncio.wait_for(gate.reached.wait(), 30)
    rebuilt = await api.post("/v1/datasets/ds/rebuild", json={})
    assert (await api.finished(rebuilt.json()["data"]["job_id"]))["status"] == "succeeded"
    assert await found_in(api, "honey") == {"first"}
    await api.post(f"/v1/jobs/{sent.json()['data']['job_id']}/cancel")
    gate.open.set()
    assert await found_in(api, "honey") == {"first"}


@pytest.mark.usefixtures("running")
async def test_of_an_erased_document_in_a_batch_no_vector_is_written_later(
    api: ApiClient, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, DocumentIndexer, "_embed_group")
    documents = [{"doc_id": f"d{number}", "text": topic(number)} for number in (1, 2)]
    sent = await api.post("/v1/documents/batch", json={"dataset_id": "ds", "documents": documents})
    await asyncio.wait_for(gate.reached.wait(), 30)
    gone = await api.delete("/v1/documents/d1", params={"hard": "true"})
    assert gone.status_code == 200, gone.text
    gate.open.set()
    assert (await api.finished(sent.json()["data"]["job_id"]))["status"] == "succeeded"
    async with container.engine.connect() as connection:
        orphans = await connection.scalar(
            text(
                "select count(*) from embeddings where owner_type = 'chunk' and owner_id not in "
                "(select chunk_id from chunks)"
            )
        )
    assert orphans == 0
    assert await found_in(api, "honey") == {"d2"}
