"""Nodes that were written without their model: marked, counted, and mended later, they and what stands above them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from app.container import open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from infra.compute import ProcessPool
from tests.client import ApiClient, error_of
from tests.conftest import api_client, running_worker
from tests.factories import page

Nodes = dict[tuple[int, int], dict[str, Any]]
BROKEN = {"kind": "refusal", "endpoint": "chat", "contains": "moraine", "count": None}


@pytest.fixture
def settings(settings: Settings, provider: RunningFakeProvider) -> Settings:
    known = settings.providers.model_copy(
        update={
            "deepseek_api_key": SecretStr("a-key"),
            "provider_base_url_override": provider.url,
            "provider_retry_seconds": 0.01,
        }
    )
    chunk = settings.chunk.model_copy(update={"refine": "off", "size": 400, "overlap": 0})
    tree = settings.tree.model_copy(update={"token_budget": 400, "summary_tokens": 100, "grouper": "contiguous"})
    return settings.model_copy(update={"providers": known, "chunk": chunk, "tree": tree})


@pytest.fixture
async def api(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[ApiClient]:
    async with (
        open_container(settings, database_url) as container,
        running_worker(settings, database_url, pool),
        api_client(container) as client,
    ):
        yield client


@pytest.fixture
async def strictly(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[ApiClient]:
    """A service whose builds fail rather than have a summary without its model."""
    providers = settings.providers.model_copy(update={"summary_fallback": "fail"})
    strict = settings.model_copy(update={"providers": providers})
    async with (
        open_container(strict, database_url) as container,
        running_worker(strict, database_url, pool),
        api_client(container) as client,
    ):
        yield client


async def kept_answers(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("select count(*) from model_calls"))
    finally:
        await connection.close()


def book() -> str:
    """Paragraphs of made-up words, each a chunk; the model will not write about those with a moraine."""
    draw = random.Random(1)
    syllables = ("ba", "do", "ki", "lu", "me", "no", "pra", "ru", "sti", "to", "va", "wen")
    parts = []
    for number in range(24):
        sentences = []
        for _ in range(4):
            words = ["".join(draw.choices(syllables, k=3)) for _ in range(9)]
            sentences.append(" ".join(words).capitalize() + ".")
        last = "Here lies the moraine." if number in (2, 3) else "Here lies nothing."
        parts.append(f"## Part {chr(97 + number)}\n\n{' '.join(sentences)} {last}")
    return "\n\n".join(parts)


async def nodes_of(api: ApiClient) -> Nodes:
    """The summaries of the live tree, by level and place in it, from the lowest up."""
    found: Nodes = {}
    for node in (await api.data("/v1/datasets/ds/tree", limit=500))["items"]:
        if node["level"] > 0:
            place = sum(level == node["level"] for level, _ in found)
            found[node["level"], place] = await api.data(f"/v1/nodes/{node['node_id']}")
    return dict(sorted(found.items()))


def marked(nodes: Nodes) -> set[tuple[int, int]]:
    return {place for place, node in nodes.items() if "reason" in node["meta"]}


async def built_broken(api: ApiClient, provider: RunningFakeProvider) -> dict[str, Any]:
    """A tree some of whose lowest summaries the model refused to write; the model is well again."""
    provider.faults(BROKEN)
    done = await api.ingest(book())
    provider.reset()
    jobs = (await api.data("/v1/jobs", dataset_id="ds"))["items"]
    return dict(next(job for job in jobs if job["job_type"] == "build"), doc_id=done["doc_id"])


async def mended(api: ApiClient, **body: Any) -> dict[str, Any]:
    started = await api.post("/v1/datasets/ds/retry-nodes", json=body)
    assert started.status_code == 202, started.text
    return await api.finished(started.json()["data"]["job_id"])


async def test_a_summary_that_its_model_refuses_is_written_without_it_marked_and_counted(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    build = await built_broken(api, provider)
    nodes = await nodes_of(api)
    assert build["status"] == "succeeded"
    assert build["result"]["degraded"] == len(marked(nodes)) > 0
    assert len(marked(nodes)) < len(nodes)
    for place in marked(nodes):
        assert nodes[place]["meta"]["summary_kind"] == "extractive"
        assert nodes[place]["meta"]["reason"]["message"]
        assert nodes[place]["text"]


async def test_the_upload_the_hits_and_the_dataset_say_what_the_model_did_not_write(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    provider.faults(BROKEN)
    done = await api.ingest(book())
    number = len(marked(await nodes_of(api)))
    assert done["degraded"] == number > 0
    (warning,) = done["warnings"]
    assert "without the model" in warning
    assert "/v1/datasets/ds/retry-nodes" in warning
    job = await api.job(done["job_id"])
    assert (job["status"], job["result"]["degraded"]) == ("succeeded", number)
    assert (await api.data("/v1/datasets/ds"))["degraded"] == number

    broken = {node["node_id"] for node in (await nodes_of(api)).values() if "reason" in node["meta"]}
    hits = (await api.retrieve("moraine", mode="collapsed", top_k=100))["results"]
    assert {hit["node_id"] for hit in hits if hit["degraded"]} == broken

    provider.reset()
    again = await api.ingest("## Apart\n\nNothing of this was there before.", name="more.md")
    assert (again["degraded"], again["warnings"]) == (0, []), "what an earlier build wrote is not this upload's"
    assert (await api.data("/v1/datasets/ds"))["degraded"] > 0

    await mended(api)
    assert (await api.data("/v1/datasets/ds"))["degraded"] == 0
    hits = (await api.retrieve("moraine", mode="collapsed", top_k=100))["results"]
    assert [hit["node_id"] for hit in hits if hit["degraded"]] == []


async def test_mending_writes_the_marked_nodes_and_what_stands_above_them_and_nothing_else(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    await built_broken(api, provider)
    before = await nodes_of(api)
    job = await mended(api)
    assert (job["status"], job["job_type"]) == ("succeeded", "mend")
    assert (job["result"]["mended"], job["result"]["degraded"]) == (len(marked(before)), 0)
    newest = (await api.data("/v1/datasets/ds/generations"))["items"][0]
    assert (newest["generation"], newest["reason"], newest["changed"]) == (2, "mended", 0)

    after = await nodes_of(api)
    assert after.keys() == before.keys()
    assert marked(after) == set()
    places = {node["node_id"]: place for place, node in before.items()}
    touched = set(marked(before))
    for place in before:
        if any(places.get(child["node_id"]) in touched for child in before[place]["children"]):
            touched.add(place)
    assert len(touched) < len(before)
    assert newest["written"] == len(touched)
    for place, node in before.items():
        if place in touched:
            assert after[place]["meta"]["summary_kind"] == "abstractive"
        else:
            assert (after[place]["text"], after[place]["meta"]) == (node["text"], node["meta"])
    assert provider.stats()["calls"] <= 2 * len(touched)
    assert (await api.retrieve("moraine"))["tree_id"] == job["result"]["tree_id"]


async def test_a_mended_tree_is_the_dataset_s_and_is_not_built_again(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    await built_broken(api, provider)
    job = await mended(api)
    provider.reset()
    rebuilt = await api.post("/v1/datasets/ds/rebuild")
    again = await api.finished(rebuilt.json()["data"]["job_id"])
    assert again["result"]["tree_id"] == job["result"]["tree_id"]
    assert provider.stats()["calls"] == 0
    nothing = await mended(api)
    assert (nothing["result"]["mended"], nothing["result"]["degraded"]) == (0, 0)


OF_NO_USE = ["empty", "whitespace", "refusal", "refusal_in_text", "repetition", "length"]


@pytest.mark.parametrize("kind", OF_NO_USE)
async def test_an_answer_of_no_use_is_paid_and_not_given_again_by_the_mending_or_a_later_build(
    api: ApiClient, provider: RunningFakeProvider, database_url: str, kind: str
) -> None:
    provider.faults({**BROKEN, "kind": kind})
    await api.ingest(book())
    broken = len(marked(await nodes_of(api)))
    assert broken > 0
    # Its tokens are in the books, and the answer is not in the store.
    bill, booked = provider.stats(), (await api.data("/v1/usage"))["total"]
    assert (booked["calls"], booked["input_tokens"]) == (bill["calls"], bill["tokens"]["prompt"])
    assert await kept_answers(database_url) == bill["calls"] - bill["by_fault"][kind]
    provider.reset()
    assert (await mended(api))["result"]["mended"] == broken
    await api.ingest("# Tides\n\nThe moon pulls the sea.\n", name="tides.md")
    assert marked(await nodes_of(api)) == set()


@pytest.mark.parametrize("kind", ["refusal_in_text", "repetition"])
async def test_a_build_that_failed_for_useless_answers_gets_good_ones_when_it_is_retried(
    strictly: ApiClient, provider: RunningFakeProvider, kind: str
) -> None:
    provider.faults({**BROKEN, "kind": kind})
    job = await strictly.submit(book())
    failed = await strictly.finished(job["job_id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "provider_bad_response")
    provider.clear_faults()
    again = await strictly.post(f"/v1/jobs/{job['job_id']}/retry")
    ended = await strictly.finished(again.json()["data"]["job_id"])
    assert ended["status"] == "succeeded", ended["error"]
    nodes = await nodes_of(strictly)
    assert {node["meta"]["summary_kind"] for node in nodes.values()} == {"abstractive"}
    assert provider.stats()["repeated"] == 0  # what was good is not asked for again


async def test_a_node_that_fails_again_stays_marked(api: ApiClient, provider: RunningFakeProvider) -> None:
    await built_broken(api, provider)
    before = marked(await nodes_of(api))
    provider.faults(BROKEN)
    job = await mended(api)
    assert (job["status"], job["result"]["mended"], job["result"]["degraded"]) == ("succeeded", 0, len(before))
    assert marked(await nodes_of(api)) == before


async def test_a_retry_of_the_job_mends(api: ApiClient, provider: RunningFakeProvider) -> None:
    build = await built_broken(api, provider)
    answer = await api.post(f"/v1/jobs/{build['id']}/retry")
    assert answer.status_code == 202
    job = await api.finished(answer.json()["data"]["job_id"])
    assert (job["job_type"], job["status"], job["result"]["degraded"]) == ("mend", "succeeded", 0)
    assert error_of(await api.post(f"/v1/jobs/{job['id']}/retry")) == (409, "version_conflict")


async def test_readers_keep_the_tree_until_the_mended_one_is_whole(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    await built_broken(api, provider)
    old = (await api.retrieve("moraine"))["tree_id"]
    provider.faults({"kind": "late_success", "endpoint": "chat", "seconds": 0.2, "count": None})
    started = await api.post("/v1/datasets/ds/retry-nodes")
    job_id = started.json()["data"]["job_id"]
    seen = []
    while (await api.job(job_id))["status"] in ("queued", "running"):
        found = await api.retrieve("moraine", top_k=20)
        texts = {hit["text"] for hit in found["results"] if hit["kind"] != "leaf"}
        seen.append((found["tree_id"], frozenset(texts)))
    assert {texts for tree, texts in seen if tree == old} == {seen[0][1]}
    assert (await api.retrieve("moraine"))["tree_id"] != old


async def test_a_tree_of_deleted_documents_is_not_mended(api: ApiClient, provider: RunningFakeProvider) -> None:
    """The document is replaced without a build, so that no build removes what was written from it."""
    await built_broken(api, provider)
    await api.ingest(page("bees"), name="notes.md", build_tree="false")
    job = await mended(api)
    assert (job["status"], job["error"]["code"]) == ("failed", "version_conflict")
    assert "rebuild" in job["error"]["message"]


async def test_a_budget_stops_the_mending_and_leaves_the_tree(api: ApiClient, provider: RunningFakeProvider) -> None:
    await built_broken(api, provider)
    before = await nodes_of(api)
    job = await mended(api, max_calls=1)
    assert (job["status"], job["error"]["code"]) == ("failed", "budget_exceeded")
    assert await nodes_of(api) == before
    assert (await mended(api))["result"]["degraded"] == 0


async def test_where_the_setting_says_so_a_node_without_its_model_fails_the_job(
    strictly: ApiClient, provider: RunningFakeProvider
) -> None:
    provider.faults(BROKEN)
    job = await strictly.submit(book())
    ended = await strictly.finished(job["job_id"])
    assert ended["status"] == "failed"
    assert ended["error"]["code"].startswith("provider_")
    assert (await strictly.data("/v1/datasets/ds"))["live_tree"] is None
    provider.reset()
    again = await strictly.post(f"/v1/jobs/{job['job_id']}/retry")
    mended_job = await strictly.finished(again.json()["data"]["job_id"])
    assert mended_job["status"] == "succeeded", mended_job["error"]


async def test_there_has_to_be_a_tree_and_a_key_to_mend(api: ApiClient, provider: RunningFakeProvider) -> None:
    assert error_of(await api.post("/v1/datasets/none/retry-nodes"))[0] == 404
    await api.ingest(page("bees"), build_tree="false")
    assert error_of(await api.post("/v1/datasets/ds/retry-nodes")) == (404, "tree_not_found")
    await api.ingest(page("salt"), name="salt.md")
    assert error_of(await api.post("/v1/datasets/ds/retry-nodes", json={"max_calls": 0}))[1] == "validation_error"
    assert error_of(await api.post("/v1/datasets/ds/retry-nodes", json={"nodes": 1}))[0] == 422
