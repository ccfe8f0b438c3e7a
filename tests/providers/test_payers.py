"""Each caller pays for their own: uploads that come together are built apart, on their own keys and budgets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.settings import Settings
from fake_provider import RunningFakeProvider
from fake_provider.calls import fingerprint
from infra.compute import ProcessPool
from services.tree.grow import TreeGrower
from tests.client import ApiClient, error_of
from tests.conftest import running_worker
from tests.factories import TOPICS, page

ALICE, BOB, WRONG = "dk-alice", "dk-bob", "bad-key"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Chat models on brought keys alone; vectors are built in."""
    providers = settings.providers.model_copy(update={"deepseek_api_key": None, "voyage_api_key": None})
    return settings.model_copy(update={"providers": providers, "default_embedder": None, "default_summary_llm": None})


def topic(number: int) -> str:
    return page(list(TOPICS)[number % len(TOPICS)], 4)


def key(secret: str) -> dict[str, str]:
    return {"byok_deepseek_api_key": secret}


def calls(provider: RunningFakeProvider, secret: str) -> int:
    return int(provider.stats()["by_key"].get(fingerprint(secret), 0))


async def send(api: ApiClient, number: int, **fields: Any) -> str:
    sent = await api.submit(topic(number), name=f"{number}.md", **fields)
    return str(sent["job_id"])


@pytest.mark.usefixtures("running")
async def test_uploads_of_two_callers_are_paid_by_each_of_them(api: ApiClient, provider: RunningFakeProvider) -> None:
    await api.ingest(topic(0), name="first.md", **key(ALICE))
    before = calls(provider, ALICE)
    jobs = await asyncio.gather(*(send(api, n, **key(ALICE if n % 2 else BOB)) for n in range(1, 5)))
    assert {(await api.finished(job))["status"] for job in jobs} == {"succeeded"}
    assert calls(provider, ALICE) > before
    assert calls(provider, BOB) > 0
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["tree_status"], dataset["staleness"]["documents_outside_tree"]) == ("live", 0)
    for job in jobs:
        assert (await api.job(job))["result"]["tree_id"]


@pytest.mark.usefixtures("running")
async def test_who_brings_a_bad_key_fails_alone(api: ApiClient) -> None:
    await api.ingest(topic(0), name="first.md", **key(ALICE))
    bad, good = await asyncio.gather(send(api, 1, **key(WRONG)), send(api, 2, **key(BOB)))
    assert (await api.finished(good))["status"] == "succeeded"
    failed = await api.finished(bad)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "provider_auth")
    dataset = await api.data("/v1/datasets/ds")
    assert dataset["staleness"]["documents_outside_tree"] == 1

    again = await api.post(f"/v1/jobs/{bad}/retry", json=key(BOB))
    assert again.status_code == 202, again.text
    assert (await api.finished(bad))["status"] == "succeeded"
    assert (await api.data("/v1/datasets/ds"))["staleness"]["documents_outside_tree"] == 0


@pytest.mark.usefixtures("running")
async def test_whose_budget_ends_fails_alone(api: ApiClient) -> None:
    await api.ingest(topic(0), name="first.md", **key(ALICE))
    small, other = await asyncio.gather(send(api, 1, max_tokens="20", **key(ALICE)), send(api, 2, **key(ALICE)))
    assert (await api.finished(other))["status"] == "succeeded"
    stopped = await api.finished(small)
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "budget_exceeded")


@pytest.mark.usefixtures("running")
async def test_a_deletion_without_a_key_waits_visibly_and_is_paid_by_who_brings_one(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    for number in range(4):
        await api.ingest(topic(number), doc_id=f"d{number}", **key(ALICE))
    deleted = await api.delete("/v1/documents/d1")
    assert (deleted.status_code, deleted.json()["data"]["job_id"]) == (200, None)
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["needs_key"], dataset["tree_status"]) == (True, "behind")
    found = await api.retrieve("What is said?", top_k=50)
    assert "d1" not in {hit["doc_id"] for hit in found["results"]}

    before = calls(provider, BOB)
    response = await api.http.request("DELETE", "/v1/documents/d2", headers={"X-BYOK-DeepSeek-Api-Key": BOB})
    assert (await api.finished(response.json()["data"]["job_id"]))["status"] == "succeeded"
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["needs_key"], dataset["tree_status"]) == (False, "live")
    assert calls(provider, BOB) > before


@pytest.mark.usefixtures("running")
async def test_an_upload_without_the_key_of_the_trees_model_is_refused_before_anything_is_stored(
    api: ApiClient,
) -> None:
    await api.ingest(topic(0), doc_id="d0", **key(ALICE))
    refused = await api.upload(topic(1), doc_id="d1")
    assert error_of(refused) == (422, "missing_provider_key")
    assert error_of(await api.get("/v1/documents/d1")) == (404, "document_not_found")


@pytest.mark.usefixtures("running")
async def test_who_deletes_with_a_key_of_another_provider_pays_with_it(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    for number in range(3):
        await api.ingest(topic(number), doc_id=f"d{number}", **key(ALICE))
    response = await api.http.request("DELETE", "/v1/documents/d1", headers={"X-BYOK-OpenAI-Api-Key": BOB})
    assert (await api.finished(response.json()["data"]["job_id"]))["status"] == "succeeded"
    assert calls(provider, BOB) > 0
    assert (await api.data("/v1/datasets/ds"))["needs_key"] is False


@pytest.mark.usefixtures("running")
async def test_a_deletion_still_waits_visibly_when_a_build_that_began_before_it_goes_live(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await api.ingest(topic(number), doc_id=f"d{number}", **key(ALICE))
    begun, deleted = asyncio.Event(), asyncio.Event()
    grow = TreeGrower.grow

    async def held(*args: Any, **named: Any) -> Any:
        begun.set()
        await deleted.wait()
        return await grow(*args, **named)

    monkeypatch.setattr(TreeGrower, "grow", held)
    job = await send(api, 3, **key(ALICE))
    await asyncio.wait_for(begun.wait(), 30)
    assert (await api.delete("/v1/documents/d1")).json()["data"]["job_id"] is None
    deleted.set()
    assert (await api.finished(job))["status"] == "succeeded"
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["needs_key"], dataset["tree_status"]) == (True, "behind")


async def test_the_same_content_of_two_callers_is_worked_on_for_each_of_them(
    api: ApiClient, settings: Settings, database_url: str, pool: ProcessPool
) -> None:
    bad, again, good = [await send(api, 0, **key(secret)) for secret in (WRONG, WRONG, BOB)]
    assert bad == again
    assert good != bad
    async with running_worker(settings, database_url, pool):
        assert (await api.finished(good))["status"] == "succeeded"
    assert (await api.data("/v1/datasets/ds"))["staleness"]["documents_outside_tree"] == 0
    assert (await api.job(bad))["result"].get("superseded_by") == good


async def test_limits_and_the_wish_for_a_tree_are_each_callers_own(api: ApiClient) -> None:
    first = await send(api, 0, build_tree="false", **key(ALICE))
    assert await send(api, 0, build_tree="false", **key(ALICE)) == first
    for_tree = await send(api, 0, **key(ALICE))
    limited = await send(api, 0, max_calls="1", **key(ALICE))
    assert len({first, for_tree, limited}) == 3
    assert await send(api, 0, max_calls="1", **key(ALICE)) == limited
