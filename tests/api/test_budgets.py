"""Budgets: a job never goes over, keeps what was paid for, and goes on when the limit is raised."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.container import open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider, running_fake_provider
from infra.compute import ProcessPool
from tests.client import ApiClient, error_of
from tests.conftest import api_client, running_worker
from tests.paying import SAMPLES, paying

BOOK = "\n\n".join(path.read_text(encoding="utf-8") for path in SAMPLES[:2])
SMALL: dict[str, Any] = {"chunk_size": "400", "chunk_overlap": "0"}  # so that the book has a tree worth stopping
DEAR = {"max_tokens": "1000000", "max_cost": "100", "max_calls": "1000"}


@asynccontextmanager
async def service(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[ApiClient]:
    async with (
        open_container(settings, database_url) as container,
        running_worker(settings, database_url, pool),
        api_client(container) as api,
    ):
        yield api


@pytest.fixture
async def paid(
    settings: Settings, database_url: str, pool: ProcessPool, provider: RunningFakeProvider
) -> AsyncIterator[ApiClient]:
    async with service(paying(settings, provider), database_url, pool) as api:
        yield api


async def build_of(api: ApiClient) -> dict[str, Any]:
    """The newest build, with its end."""
    jobs = (await api.data("/v1/jobs"))["items"]
    return await api.finished(next(job["id"] for job in jobs if job["job_type"] == "build"))


def total(usage: dict[str, Any]) -> int:
    return int(usage["input_tokens"] + usage["output_tokens"])


@pytest.mark.parametrize("limit", [{"max_calls": "6"}, {"max_tokens": "12000"}, {"max_cost": "0.004"}])
async def test_a_build_stops_at_its_budget_and_goes_on_when_the_limit_is_raised(
    paid: ApiClient, provider: RunningFakeProvider, limit: dict[str, Any]
) -> None:
    response = await paid.upload(BOOK, **SMALL, **limit)
    assert error_of(response) == (402, "budget_exceeded")
    details = response.json()["error"]["details"]
    assert details["limit"] == next(iter(limit))
    stopped = await build_of(paid)
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "budget_exceeded")
    spent = provider.stats()
    assert 0 < spent["calls"] <= int(limit.get("max_calls", 1000))
    assert spent["tokens"]["total"] <= int(limit.get("max_tokens", 1_000_000))
    assert details["cost"] <= float(limit.get("max_cost", 100))
    assert details["tokens"] == spent["tokens"]["total"]

    again = await paid.post(f"/v1/jobs/{details['job_id']}/retry", json={name: float(DEAR[name]) for name in limit})
    assert again.status_code == 202
    done = await paid.finished(again.json()["data"]["job_id"])
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert done["result"]["tree_id"]
    assert provider.stats()["repeated"] == 0


async def test_what_is_under_way_at_the_limit_comes_in_and_is_kept(
    settings: Settings, database_url: str, pool: ProcessPool
) -> None:
    with running_fake_provider(latency_s=0.2) as provider:
        async with service(paying(settings, provider), database_url, pool) as api:
            assert error_of(await api.upload(BOOK, **SMALL, max_calls="5")) == (402, "budget_exceeded")
            stopped = await build_of(api)
            assert stopped["usage"]["calls"] + 1 == provider.stats()["calls"] == 5
            again = await api.post(f"/v1/jobs/{stopped['id']}/retry", json={"max_calls": 500})
            done = await api.finished(again.json()["data"]["job_id"])
            assert done["status"] == "succeeded"
            assert done["usage"]["cache_hits"] >= 4
            assert provider.stats()["repeated"] == 0


async def test_a_retry_without_a_larger_budget_stops_again_and_pays_nothing(
    paid: ApiClient, provider: RunningFakeProvider
) -> None:
    assert error_of(await paid.upload(BOOK, **SMALL, max_calls="4")) == (402, "budget_exceeded")
    calls = provider.stats()["calls"]
    again = await paid.post(f"/v1/jobs/{(await build_of(paid))['id']}/retry")
    done = await paid.finished(again.json()["data"]["job_id"])
    assert done["error"]["code"] == "budget_exceeded"
    assert provider.stats()["calls"] == calls


async def test_readers_keep_the_last_tree_while_a_larger_rebuild_is_asked_for(
    paid: ApiClient, provider: RunningFakeProvider
) -> None:
    first = await paid.ingest(BOOK, **SMALL, name="book.md")
    assert error_of(
        await paid.upload(SAMPLES[2].read_text(encoding="utf-8"), **SMALL, name="more.md", max_calls="3")
    ) == (402, "budget_exceeded")
    found = await paid.retrieve("Who decides about money?")
    assert found["tree_id"] == first["tree_id"]

    rebuilt = await paid.post("/v1/datasets/ds/rebuild", json={"max_calls": 500})
    job = await paid.finished(rebuilt.json()["data"]["job_id"])
    assert job["status"] == "succeeded"
    found = await paid.retrieve("How does a watch begin?")
    assert found["tree_id"] == job["result"]["tree_id"] != first["tree_id"]
    assert provider.stats()["repeated"] == 0


async def test_an_upload_that_cannot_pay_for_its_vectors_asks_for_none_and_succeeds_later(
    paid: ApiClient, provider: RunningFakeProvider
) -> None:
    refused = await paid.upload(BOOK, **SMALL, max_tokens="500")
    assert error_of(refused) == (402, "budget_exceeded")
    assert provider.stats()["calls"] == 0
    job_id = refused.json()["error"]["details"]["job_id"]
    again = await paid.post(f"/v1/jobs/{job_id}/retry", json={"max_tokens": 500_000})
    assert again.json()["data"]["job_id"] == job_id
    assert (await paid.finished(job_id))["status"] == "succeeded"


async def test_the_operators_limits_hold_for_every_job(
    settings: Settings, database_url: str, pool: ProcessPool, provider: RunningFakeProvider
) -> None:
    bounded = settings.model_copy(update={"budget": settings.budget.model_copy(update={"max_calls": 3})})
    async with service(paying(bounded, provider), database_url, pool) as api:
        assert error_of(await api.upload(BOOK, **SMALL)) == (402, "budget_exceeded")
        assert (await build_of(api))["usage"]["calls"] == 3


@pytest.mark.parametrize("name", ["max_cost", "max_tokens", "max_calls"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
async def test_a_budget_that_is_no_number_above_zero_is_refused(api: ApiClient, name: str, value: str) -> None:
    assert error_of(
        await api.http.post(
            "/v1/document/ingest-markdown",
            data={"dataset_id": "ds", name: value},
            files={"file": ("notes.md", BOOK.encode())},
        )
    ) == (422, "validation_error")
    job = await api.submit(BOOK)
    body = f'{{"{name}": {value}}}'
    for path in ("/v1/datasets/ds/rebuild", f"/v1/jobs/{job['job_id']}/retry"):
        response = await api.post(path, content=body, headers={"content-type": "application/json"})
        assert error_of(response) == (422, "validation_error"), (path, response.text)
    document = f'{{"dataset_id": "ds", "text": "Some text.", "{name}": {value}}}'
    response = await api.post("/v1/documents", content=document, headers={"content-type": "application/json"})
    assert error_of(response) == (422, "validation_error")
