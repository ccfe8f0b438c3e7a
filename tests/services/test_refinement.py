"""Refinement on the way from an upload to its chunks, against the fake provider over real HTTP."""

from __future__ import annotations

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
from tests.factories import TOPICS

NOISE = "Skip to content"


@pytest.fixture
def settings(settings: Settings, provider: RunningFakeProvider) -> Settings:
    """A key for DeepSeek, and every provider at the fake one's address."""
    known = settings.providers.model_copy(
        update={
            "deepseek_api_key": SecretStr("a-key"),
            "provider_base_url_override": provider.url,
            "provider_retry_seconds": 0.01,
        }
    )
    chunk = settings.chunk.model_copy(update={"refine": "auto"})
    return settings.model_copy(update={"providers": known, "chunk": chunk})


@pytest.fixture
async def api(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[ApiClient]:
    async with (
        open_container(settings, database_url) as container,
        running_worker(settings, database_url, pool),
        api_client(container) as client,
    ):
        yield client


def book(sections: int, changed: int | None = None) -> str:
    """Sections of one chunk each; the noise is in the second."""
    parts = []
    for number in range(sections):
        topic, text = list(TOPICS.items())[number % len(TOPICS)]
        last = "This paragraph was changed." if number == changed else f"So it is said in section {number}."
        noise = f"\n\n{NOISE}\n\nAnd it goes on." if number == 1 else ""
        parts.append(
            f"## On {topic}, {number}\n\n{text} {text} {text}{noise}\n\n{text} {text}\n\n{text} {text}\n\n{last}\n"
        )
    return "# Book\n\n" + "\n".join(parts)


async def chunks_of(api: ApiClient, done: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        options: dict[str, Any] = {"cursor": cursor} if cursor else {}
        page = await api.data(f"/v1/documents/{done['doc_id']}/chunks", dataset_id="ds", limit=200, **options)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def refinement_of(api: ApiClient, done: dict[str, Any]) -> dict[str, Any]:
    return dict((await api.job(done["job_id"]))["result"]["refinement"])


def chat_calls(provider: RunningFakeProvider) -> int:
    by_path = provider.stats()["by_endpoint"]
    return sum(calls for path, calls in by_path.items() if path.endswith("/chat/completions"))


async def test_where_a_chat_model_has_a_key_it_refines_and_noise_is_in_no_chunk(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    source = book(6)
    done = await api.ingest(source, build_tree="false")
    found = await refinement_of(api, done)
    assert (found["mode"], found["dropped"], found["dropped_characters"]) == ("llm", 1, len(NOISE))
    chunks = await chunks_of(api, done)
    assert all(NOISE not in chunk["text"] for chunk in chunks)
    assert all(chunk["text"] == source[chunk["start"] : chunk["end"]] for chunk in chunks)
    (start, end), *others = [tuple(span) for chunk in chunks for span in chunk["meta"].get("dropped", ())]
    assert (source[start:end], others) == (NOISE, [])
    assert chat_calls(provider) == 1


async def test_off_heuristic_and_llm_are_versions_of_their_own(api: ApiClient, provider: RunningFakeProvider) -> None:
    versions = []
    for mode, dropped, calls in (("off", 0, 0), ("heuristic", 1, 0), ("llm", 1, 1)):
        done = await api.ingest(book(4), build_tree="false", refine=mode)
        assert (await refinement_of(api, done))["dropped"] == dropped
        assert chat_calls(provider) == calls
        versions.append(done["version_id"])
    assert len(set(versions)) == 3
    again = await api.ingest(book(4), build_tree="false", refine="llm")
    assert again["status"] == "unchanged"
    listed = await api.data(f"/v1/documents/{again['doc_id']}/versions", dataset_id="ds")
    assert {version["refine"] for version in listed["items"]} == {"off", "heuristic", "llm"}


async def test_without_a_mode_what_was_refined_in_another_way_is_not_done_again(api: ApiClient) -> None:
    first = await api.ingest(book(4), build_tree="false", refine="off")
    again = await api.ingest(book(4), build_tree="false")
    assert (again["status"], again["version_id"]) == ("unchanged", first["version_id"])


async def test_one_changed_paragraph_of_two_hundred_chunks_asks_about_its_own_windows_alone(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    first = await api.ingest(book(200), build_tree="false")
    assert first["chunks"] >= 200
    windows = chat_calls(provider)
    assert windows > 20
    embedded = (await api.job(first["job_id"]))["usage"]["cache_hits"]
    provider.reset()

    second = await api.ingest(book(200, changed=100), build_tree="false")
    assert second["version_id"] != first["version_id"]
    job = await api.job(second["job_id"])
    assert 1 <= chat_calls(provider) <= 2
    assert provider.stats()["repeated"] == 0
    reused = job["usage"]["cache_hits"] - embedded
    assert reused >= windows - 2 + first["chunks"] - 3


async def test_answers_that_are_of_no_use_leave_the_text_as_it_was_cut_and_are_counted(
    api: ApiClient, provider: RunningFakeProvider, database_url: str
) -> None:
    plain = await chunks_of(api, await api.ingest(book(12), build_tree="false", refine="heuristic", doc_id="a"))
    for kind in ("content_not_json", "drop_everything", "empty", "length", "content_filter"):
        provider.reset()
        provider.faults({"kind": kind, "endpoint": "chat", "count": None})
        done = await api.ingest(book(12), build_tree="false", refine="llm", doc_id="a", upsert_mode="replace")
        found = await refinement_of(api, done)
        assert found["skipped_chunks"] == done["chunks"] == len(plain), kind
        chunks = await chunks_of(api, done)
        assert [chunk["text"] for chunk in chunks] == [chunk["text"] for chunk in plain]
        assert {chunk["meta"]["refinement"] for chunk in chunks} == {"skipped"}
        # They were paid and are not kept: who asks again has the model asked again.
        provider.reset()
        done = await api.ingest(book(12), build_tree="false", refine="llm", doc_id="a", upsert_mode="replace")
        assert (await refinement_of(api, done))["skipped_chunks"] == 0, kind
        assert chat_calls(provider) > 0, kind
        await forget_answers(database_url)


async def forget_answers(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("delete from model_calls")
    finally:
        await connection.close()


async def test_a_provider_that_is_out_for_one_window_costs_that_window_alone(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    provider.faults({"kind": "content_filter_prompt", "endpoint": "chat", "from": 2})
    done = await api.ingest(book(40), build_tree="false", refine="llm")
    found = await refinement_of(api, done)
    assert 0 < found["skipped_chunks"] < done["chunks"] / 2


async def test_a_refused_key_ends_the_job_with_its_reason(api: ApiClient) -> None:
    job = await api.submit(book(4), build_tree="false", refine="llm", byok_deepseek_api_key="bad-key")
    ended = await api.finished(job["job_id"])
    assert ended["status"] == "failed"
    assert ended["error"]["code"].startswith("provider_")


async def test_a_budget_ends_the_job_and_what_was_paid_is_not_paid_again(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    job = await api.submit(book(60), build_tree="false", refine="llm", max_calls="3")
    ended = await api.finished(job["job_id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "budget_exceeded")
    paid = chat_calls(provider)
    assert 0 < paid <= 3
    done = await api.ingest(book(60), build_tree="false", refine="llm")
    assert done["status"] == "embedded"
    assert provider.stats()["repeated"] == 0


async def test_refining_by_a_model_needs_a_model(settings: Settings, database_url: str) -> None:
    alone = settings.model_copy(update={"providers": settings.providers.model_copy(update={"deepseek_api_key": None})})
    async with open_container(alone, database_url) as container, api_client(container) as api:
        refused = await api.upload("# A\n\nText.", build_tree="false", refine="llm")
        assert error_of(refused)[1] == "unknown_model"
        assert "refine=heuristic" in refused.json()["error"]["message"]
        refused = await api.upload("# A\n\nText.", build_tree="false", refine="llm", summary_llm="gemini")
        assert error_of(refused)[1] == "missing_provider_key"
        refused = await api.upload("# A\n\nText.", refine="sometimes")
        assert error_of(refused) == (422, "validation_error")
        accepted = await api.submit("# A\n\nText.", build_tree="false")
        listed = await api.data(f"/v1/documents/{accepted['doc_id']}/versions", dataset_id="ds")
        assert [version["refine"] for version in listed["items"]] == ["off"]
