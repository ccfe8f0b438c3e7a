"""Estimates: near the bill, free where nothing is to be done, and never a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.container import open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from infra.compute import ProcessPool
from tests.client import ApiClient, error_of
from tests.conftest import api_client, running_worker
from tests.factories import TOPICS, page
from tests.paying import CHAT, EMBEDDER, SAMPLES, paying

TEXTS = [path.read_text(encoding="utf-8") for path in SAMPLES]
HANDBOOK = [{"text": text, "file_name": path.name} for path, text in zip(SAMPLES, TEXTS, strict=True)]


@pytest.fixture
async def paid(
    settings: Settings, database_url: str, pool: ProcessPool, provider: RunningFakeProvider
) -> AsyncIterator[ApiClient]:
    paying_settings = paying(settings, provider)
    async with (
        open_container(paying_settings, database_url) as container,
        running_worker(paying_settings, database_url, pool),
        api_client(container) as api,
    ):
        yield api


async def estimated(api: ApiClient, dataset: str = "ds", **body: Any) -> dict[str, Any]:
    response = await api.post(f"/v1/datasets/{dataset}/estimate", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json()["data"])


def tokens(total: dict[str, Any]) -> int:
    return int(total["input_tokens"] + total["output_tokens"])


async def test_an_estimate_is_near_the_bill_and_costs_nothing(paid: ApiClient, provider: RunningFakeProvider) -> None:
    expected = await estimated(paid, documents=HANDBOOK)
    assert provider.stats()["calls"] == 0
    assert error_of(await paid.get("/v1/datasets/ds"))[0] == 404
    assert (expected["dataset_exists"], expected["tree"]) == (False, "built")
    assert {(line["stage"], f"{line['provider']}/{line['model']}") for line in expected["lines"]} == {
        ("embed", EMBEDDER),
        ("summary", CHAT),
    }

    for path, text in zip(SAMPLES, TEXTS, strict=True):
        await paid.upload(text, name=path.name, build_tree="false")
    job = (await paid.post("/v1/datasets/ds/rebuild")).json()["data"]["job_id"]
    assert (await paid.finished(job))["status"] == "succeeded"
    bill = provider.stats()
    dataset = await paid.data("/v1/datasets/ds")
    assert dataset["chunks"] == expected["chunks"] == expected["new_chunks"]
    assert tokens(expected["total"]) == pytest.approx(bill["tokens"]["total"], rel=0.15)
    assert expected["total"]["cost"] == pytest.approx(dataset["usage"]["cost"], rel=0.15)
    assert expected["total"]["llm_calls"] == sum(level["summaries"] for level in expected["levels"])


async def test_what_is_unchanged_is_free_and_a_change_pays_for_its_own_document_and_the_tree(
    paid: ApiClient, provider: RunningFakeProvider
) -> None:
    for text, path in zip(TEXTS[:2], SAMPLES[:2], strict=True):
        await paid.ingest(text, name=path.name)
    calls = provider.stats()["calls"]
    for documents in (HANDBOOK[:2], []):
        same = await estimated(paid, documents=documents)
        assert (same["tree"], same["lines"], same["total"]["calls"], same["total"]["cost"]) == ("unchanged", [], 0, 0)
    assert (await estimated(paid, documents=HANDBOOK[:2]))["unchanged"] == 2

    changed = [HANDBOOK[0], {**HANDBOOK[1], "text": TEXTS[1] + "\n\nAnd one thing more.\n"}]
    expected = await estimated(paid, documents=changed)
    dataset = await paid.data("/v1/datasets/ds")
    assert (expected["unchanged"], expected["tree"], expected["dataset_exists"]) == (1, "built", True)
    assert 0 < expected["new_chunks"] < expected["chunks"] == pytest.approx(dataset["chunks"], abs=1)
    assert provider.stats()["calls"] == calls


async def test_a_contextual_embedder_is_sent_the_window_of_a_changed_passage_and_the_estimate_counts_it(
    paid: ApiClient, provider: RunningFakeProvider
) -> None:
    whole = await estimated(paid, documents=HANDBOOK[:1], build_tree=False)
    first = await paid.ingest(TEXTS[0], name=SAMPLES[0].name, build_tree="false")
    assert first["chunks"] > 5
    text = TEXTS[0].rstrip() + " And one word more.\n"
    expected = await estimated(paid, documents=[{**HANDBOOK[0], "text": text}], build_tree=False)
    provider.reset()
    await paid.ingest(text, name=SAMPLES[0].name, build_tree="false")
    assert provider.stats()["by_endpoint"] == {"/v1/contextualizedembeddings": 1}
    assert expected["total"]["calls"] == 1
    assert tokens(expected["total"]) == pytest.approx(tokens(whole["total"]), rel=0.02), "not its one passage alone"
    assert tokens(expected["total"]) == pytest.approx(provider.stats()["tokens"]["total"], rel=0.15)


async def test_other_parameters_are_a_whole_tree_and_another_space_embeds_all_again(paid: ApiClient) -> None:
    await paid.ingest(TEXTS[0], name="one.md")
    finer = await estimated(paid, tree={"token_budget": 800})
    assert (finer["tree"], finer["new_chunks"]) == ("built", 0)
    moved = await estimated(paid, embedding_model="openai/text-embedding-3-small")
    assert moved["new_chunks"] == moved["chunks"]
    assert moved["embedding_model"] == "openai/text-embedding-3-small"


async def test_a_price_that_is_not_known_is_said_to_be_unknown(
    settings: Settings, database_url: str, provider: RunningFakeProvider
) -> None:
    local = paying(settings, provider, provider_base_urls={"ollama": "http://localhost:11434/v1"})
    async with open_container(local, database_url) as container, api_client(container) as api:
        found = await estimated(api, documents=HANDBOOK[:1], summary_llm="ollama/qwen3")
    summary = next(line for line in found["lines"] if line["stage"] == "summary")
    assert summary["cost"] is None
    assert summary["calls"] > 0
    assert found["unpriced"] == ["ollama/qwen3"]
    assert found["total"]["cost"] is None
    assert found["total"]["known_cost"] > 0


async def test_without_a_key_all_is_free_and_named_models_are_priced_all_the_same(api: ApiClient) -> None:
    free = await estimated(api, documents=HANDBOOK)
    assert (free["embedding_model"], free["summary_llm"]) == ("builtin/lexical-1", "builtin/extractive")
    assert (free["lines"], free["total"]["cost"]) == ([], 0)
    assert len(free["levels"]) >= 2
    named = await estimated(api, documents=HANDBOOK, summary_llm=CHAT, embedding_model=EMBEDDER)
    assert named["total"]["cost"] > 0


async def test_minutes_follow_the_limits(settings: Settings, database_url: str, provider: RunningFakeProvider) -> None:
    limits = settings.providers.model_validate({"provider_limits": {"voyage": {"rpm": 3, "tpm": 10_000}}})
    slow = paying(settings, provider, provider_limits=limits.provider_limits)
    async with open_container(slow, database_url) as container, api_client(container) as api:
        found = await estimated(api, documents=HANDBOOK, build_tree=False)
    (line,) = found["lines"]
    assert found["levels"] == []
    assert line["minutes"] == pytest.approx(max(line["calls"] / 3, line["input_tokens"] / 10_000), abs=0.01)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 404, "dataset_not_found"),
        ({"documents": [{"text": "  \n"}]}, 400, "empty_document"),
        ({"documents": [{"text": "Text.", "file_name": "a.pdf"}]}, 400, "unsupported_file_type"),
        ({"documents": [{"text": "Text.", "doc_id": "a b"}]}, 422, "validation_error"),
        ({"documents": [{"text": "Text."}], "summary_llm": "no/such"}, 422, "unknown_model"),
        ({"documents": [{"text": "Text."}], "embedding_model": "no/such"}, 422, "unknown_model"),
        ({"documents": [{"text": "Text."}], "tree": {"branches": 2}}, 422, "validation_error"),
        ({"documents": [{"text": "Text."}], "chunk_size": 200, "chunk_overlap": 200}, 422, "validation_error"),
        ({"document": []}, 422, "validation_error"),
    ],
)
async def test_what_cannot_be_estimated(api: ApiClient, body: dict[str, Any], status: int, code: str) -> None:
    assert error_of(await api.post("/v1/datasets/ds/estimate", json=body)) == (status, code)


async def test_nothing_is_stored(api: ApiClient) -> None:
    await estimated(api, documents=[{"text": page("bees"), "doc_id": "bees"}])
    assert (await api.data("/v1/datasets"))["items"] == []
    assert (await api.data("/v1/jobs"))["items"] == []


@pytest.mark.usefixtures("running")
async def test_an_estimate_of_a_change_is_at_most_its_own_path(api: ApiClient) -> None:
    for number, topic in enumerate(TOPICS):
        await api.ingest(page(topic, 40), doc_id=f"d{number}", chunk_size="300", chunk_overlap="0")
    ask: dict[str, Any] = {
        "documents": [{"doc_id": "d0", "text": page(next(iter(TOPICS)), 40).replace("Part 7 of", "Item 7 of")}]
    }
    options: dict[str, Any] = {"chunk_size": 300, "chunk_overlap": 0, "tree": {}}
    change = await estimated(api, **ask, **options)
    tree = await api.data("/v1/datasets/ds/tree")
    whole = sum(level["nodes"] for level in tree["levels"] if level["level"] > 0)
    assert change["tree"] == "built"
    assert 0 < summaries(change) < whole / 3
    assert any("on its path" in warning for warning in change["warnings"])


def summaries(estimate: dict[str, Any]) -> int:
    return sum(level["summaries"] for level in estimate["levels"])
