"""What holds for every request: nothing that it says is silently ignored, and lists come in pages."""

from __future__ import annotations

import logging
import re
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from sqlalchemy import text

from app.container import Container
from app.main import create_app
from app.routers import ROUTERS
from tests.client import ApiClient, error_of
from tests.factories import handbook, page
from tests.libraries import library

WAITING = {"Prefer": "wait=60"}


ENDPOINTS = sorted(
    (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and route.include_in_schema
    for method in route.methods or ()
)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_an_unknown_query_parameter_is_refused_everywhere(api: ApiClient, method: str, path: str) -> None:
    answer = await api.http.request(method, re.sub(r"\{[a-z_]+\}", "0" * 32, path), params={"limti": "5"})
    assert error_of(answer) == (422, "validation_error")
    assert answer.json()["error"]["details"]["field"] == "limti"


async def test_a_new_route_has_it_by_being_there(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    router = APIRouter()

    @router.get("/v1/new")
    async def new(known: int = 0) -> dict[str, int]:
        return {"known": known}

    monkeypatch.setattr("app.main.ROUTERS", [router])
    transport = httpx2.ASGITransport(create_app(container), client=("127.0.0.1", 50000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/v1/new", params={"known": 3})).json() == {"known": 3}
        refused = await http.get("/v1/new", params={"known": 3, "unknwon": 4})
        assert error_of(refused) == (422, "validation_error")
        assert refused.json()["error"]["details"] == {"field": "unknwon", "known": ["known"]}


@pytest.mark.filled_with(put=library)
async def test_database_id_goes_wherever_dataset_id_does(api: ApiClient) -> None:
    for path in ("/v1/documents", "/v1/documents/bees", "/v1/documents/bees/versions", "/v1/jobs", "/v1/usage"):
        assert await api.data(path, database_id="ds") == await api.data(path, dataset_id="ds")
        both = await api.get(path, params={"dataset_id": "ds", "database_id": "other"})
        assert error_of(both) == (400, "dataset_id_conflict")
    assert (await api.data("/v1/jobs", database_id="none"))["items"] == []
    assert error_of(await api.get("/v1/documents")) == (400, "missing_dataset_id")
    deleted = {"database_id": "ds", "filter": {"doc_id": "bees"}}
    assert (await api.post("/v1/documents/delete", json=deleted)).json()["data"]["documents"] == 1


async def test_versions_come_in_pages_the_newest_first(api: ApiClient) -> None:
    for number in range(5):
        await api.submit(page("bees", number + 1), doc_id="bees")
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        found = await api.data("/v1/documents/bees/versions", limit=2, **cursor)
        seen += [one["number"] for one in found["items"]]
        if found["next_cursor"] is None:
            break
        cursor = {"cursor": found["next_cursor"]}
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.filled_with(put=library)
async def test_statistics_of_indexes_come_in_pages_with_a_total_of_all(api: ApiClient) -> None:
    for name in ("a", "z"):
        await api.http.put(f"/v1/datasets/{name}", json={})
    first = await api.data("/v1/index/stats", limit=2)
    second = await api.data("/v1/index/stats", limit=2, cursor=first["next_cursor"])
    assert [one["dataset_id"] for one in (*first["items"], *second["items"])] == ["a", "ds", "z"]
    full = first["items"][1]
    assert full["vectors"] > 8
    for told in (first, second):
        assert told["total"] == {
            "datasets": 3, "vectors": full["vectors"], "dirty": 0, "updated_at": full["updated_at"],
        }  # fmt: skip
    assert first["items"][0]["updated_at"] is None
    assert full["updated_at"] is not None


@pytest.mark.usefixtures("running")
async def test_who_prefers_to_wait_for_a_document_is_answered_when_it_is_there(api: ApiClient) -> None:
    body = {"dataset_id": "ds", "doc_id": "bees", "text": page("bees")}

    queued = await api.post("/v1/documents", json=body)
    assert (queued.status_code, queued.json()["data"]["status"]) == (202, "queued")
    assert queued.headers["location"] == f"/v1/jobs/{queued.json()['data']['job_id']}"
    assert (await api.get(queued.headers["location"])).status_code == 200

    waited = await api.post("/v1/documents", json=body | {"text": page("bees", 2)}, headers=WAITING)
    assert (waited.status_code, waited.json()["code"], waited.json()["data"]["status"]) == (200, 200, "embedded")
    assert waited.headers["preference-applied"] == "wait=60"

    again = await api.post("/v1/documents", json=body | {"text": page("bees", 2)}, headers=WAITING)
    assert (again.status_code, again.json()["data"]["status"]) == (200, "unchanged")
    assert "location" not in again.headers


async def test_a_wait_that_is_over_before_the_job_is_answers_202(api: ApiClient) -> None:
    body = {"dataset_id": "ds", "text": page("bees")}
    early = await api.post("/v1/documents", json=body, headers={"Prefer": "wait=1"})
    assert (early.status_code, early.json()["code"], early.json()["data"]["status"]) == (202, 202, "queued")


@pytest.mark.usefixtures("running")
async def test_a_retry_that_lacks_a_key_is_refused_at_once(api: ApiClient) -> None:
    keys = {"X-BYOK-OpenAI-Api-Key": "sk-0000"}
    sent = await api.upload(
        page("bees"), embed_model="openai/text-embedding-3-small", headers={"Prefer": "respond-async", **keys},
        summary_llm="builtin/extractive",
    )  # fmt: skip
    job = sent.json()["data"]["job_id"]
    await api.post(f"/v1/jobs/{job}/cancel")
    before = await api.job(job)

    assert error_of(await api.post(f"/v1/jobs/{job}/retry")) == (422, "missing_provider_key")

    assert await api.job(job) == before
    assert (await api.post(f"/v1/jobs/{job}/retry", headers=keys)).status_code == 202


async def test_a_retry_of_a_refinement_lacks_its_chat_models_key(api: ApiClient) -> None:
    keys = {"X-BYOK-DeepSeek-Api-Key": "sk-0000"}
    sent = await api.upload(page("bees"), refine="llm", build_tree="false", headers={"Prefer": "respond-async", **keys})
    job = sent.json()["data"]["job_id"]
    assert error_of(await api.post(f"/v1/jobs/{job}/retry")) == (409, "version_conflict")
    await api.post(f"/v1/jobs/{job}/cancel")
    assert error_of(await api.post(f"/v1/jobs/{job}/retry")) == (422, "missing_provider_key")
    assert (await api.post(f"/v1/jobs/{job}/retry", headers=keys)).status_code == 202


@pytest.mark.filled_with(put=library)
async def test_a_budget_that_holds_no_hit_is_told_apart_from_finding_nothing(api: ApiClient) -> None:
    for mode in ("leaves", "collapsed", "digest"):
        small = await api.retrieve("Who keeps honey for the winter?", mode=mode, max_tokens=1)
        assert small["results"] == []
        assert any("max_tokens" in note for note in small["notes"]), mode
        enough = await api.retrieve("Who keeps honey for the winter?", mode=mode, max_tokens=500)
        assert enough["results"]
        assert enough["notes"] == []


@pytest.mark.usefixtures("running")
async def test_each_level_is_told_in_the_log_as_it_is_persisted(
    api: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="services.tree.grow"):
        await api.ingest(handbook(), chunk_size="200")
    levels = (await api.data("/v1/datasets/ds/tree"))["levels"][:-1]
    told = [record.__dict__ for record in caplog.records if record.message == "level persisted"]
    assert [(one["tree_level"], one["clusters"]) for one in told] == [
        (level["level"], level["nodes"]) for level in reversed(levels)
    ]
    below = await api.data("/v1/datasets/ds")
    for one in told:
        assert set(one) >= {"n", "sizes", "best_score", "cluster_s", "summary_s", "embed_s", "write_s"}
        assert one["sizes"]["min"] >= 1
    assert told[0]["n"] == below["chunks"]


async def test_health_tells_of_embedder_index_and_coverage(api: ApiClient) -> None:
    await api.submit(page("bees"))
    parts = (await api.data("/v1/health"))["parts"]
    assert set(parts) == {"database", "schema", "workers", "index", "coverage", "embedder"}
    assert parts["coverage"] == {"ok": True, "detail": "0 of 1 documents have passages, 0 of 0 passages have vectors"}
    assert parts["embedder"]["detail"] == "builtin/lexical-1 for new datasets"
    assert parts["index"]["ok"]


@pytest.mark.filled_with(put=library)
async def test_a_passage_without_a_vector_is_told_by_health(api: ApiClient, container: Container) -> None:
    one = "select min(id::text)::uuid from embeddings where owner_type = 'chunk'"
    async with container.engine.begin() as connection:
        await connection.execute(text(f"delete from embeddings where id = ({one})"))
    told = (await api.data("/v1/health"))["parts"]["coverage"]
    assert not told["ok"]
    assert told["detail"].startswith("8 of 8 documents have passages")
