"""Many documents that belong together: one request, or an upload that is begun, filled and committed."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from app.container import Container
from infra.db.engine import asyncpg_url, create_engine
from interfaces_adaptor.repositories.uploads import remove_expired_uploads
from services.domain import DEFAULT_TENANT
from tests.client import ApiClient, error_of
from tests.factories import TOPICS, page


def notes(count: int) -> list[dict[str, Any]]:
    return [
        {"doc_id": f"note-{number}", "text": f"# Note {number}\n\n{page(list(TOPICS)[number % len(TOPICS)])}\n"}
        for number in range(count)
    ]


async def begin(api: ApiClient, dataset: str = "ds", **options: Any) -> str:
    begun = await api.post(f"/v1/datasets/{dataset}/uploads", json=options)
    assert begun.status_code == 201, begun.text
    return str(begun.json()["data"]["upload_id"])


async def add(api: ApiClient, upload_id: str, text: str, **fields: Any) -> Any:
    return await api.post(f"/v1/uploads/{upload_id}/documents", json={"text": text, **fields})


async def builds(api: ApiClient) -> list[dict[str, Any]]:
    return [job for job in (await api.data("/v1/jobs", limit=500))["items"] if job["job_type"] == "build"]


@pytest.mark.usefixtures("running")
async def test_a_batch_is_one_job_and_one_build(api: ApiClient) -> None:
    sent = await api.post(
        "/v1/documents/batch", json={"dataset_id": "ds", "documents": notes(30)}, headers={"Prefer": "wait=60"}
    )
    assert sent.status_code == 200, sent.text
    answer = sent.json()["data"]
    assert (answer["accepted"], answer["upserted_docs"], answer["skipped_docs"]) == (30, 30, 0)
    assert answer["chunks_created"] >= 30
    assert len(await builds(api)) == 1
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["documents"], dataset["tree_status"]) == (30, "live")
    job = await api.job(answer["job_id"])
    assert (job["status"], job["doc_id"], job["result"]["documents"]) == ("succeeded", None, 30)


@pytest.mark.usefixtures("running")
async def test_of_a_batch_only_what_is_new_is_done(api: ApiClient) -> None:
    documents = notes(5)
    await api.post("/v1/documents/batch", json={"dataset_id": "ds", "documents": documents}, headers={"Prefer": "wait"})
    sent = await api.post("/v1/documents/batch", json={"dataset_id": "ds", "documents": documents})
    job = await api.finished(sent.json()["data"]["job_id"]) if sent.json()["data"]["job_id"] else None
    documents[2]["text"] += "\nOne line more.\n"
    changed = (
        await api.post(
            "/v1/documents/batch", json={"dataset_id": "ds", "documents": documents}, headers={"Prefer": "wait=60"}
        )
    ).json()["data"]
    assert (changed["upserted_docs"], changed["skipped_docs"]) == (1, 4)
    assert [document["status"] for document in changed["documents"]].count("unchanged") == 4
    again = await api.post(
        "/v1/documents/batch", json={"dataset_id": "ds", "documents": documents}, headers={"Prefer": "wait=60"}
    )
    assert (again.status_code, again.json()["data"]["job_id"]) == (200, None)
    assert job is None or job["status"] == "succeeded"


async def test_a_batch_is_taken_whole_or_not_at_all(api: ApiClient) -> None:
    documents = [*notes(3), {"doc_id": "empty", "text": " \n"}]
    refused = await api.post("/v1/documents/batch", json={"dataset_id": "ds", "documents": documents})
    assert error_of(refused) == (400, "empty_document")
    assert refused.json()["error"]["details"]["position"] == 3
    assert error_of(await api.get("/v1/datasets/ds")) == (404, "dataset_not_found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"documents": notes(2) + notes(1)}, (422, "validation_error"), id="two documents of one identity"),
        pytest.param({"documents": []}, (422, "validation_error"), id="none"),
        pytest.param({"documents": [{"text": "# A\n"}] * 1_001}, (422, "validation_error"), id="too many"),
        pytest.param({"documents": notes(1), "max_cost": 0}, (422, "validation_error"), id="a budget of nothing"),
        pytest.param({"documents": notes(1), "colour": "red"}, (422, "validation_error"), id="an unknown field"),
        pytest.param(
            {"documents": [{"text": "# A\n", "doc_id": "a b"}]}, (422, "validation_error"), id="an id that is none"
        ),
        pytest.param(
            {"documents": [{"text": "# A\n", "file_name": "a.docx"}]}, (400, "unsupported_file_type"), id="no Markdown"
        ),
        pytest.param(
            {"documents": notes(1), "summary_llm": "gpt-0"}, (422, "unknown_model"), id="a model that there is not"
        ),
    ],
)
async def test_what_no_batch_can_be_is_refused(api: ApiClient, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert error_of(await api.post("/v1/documents/batch", json={"dataset_id": "ds", **body})) == expected
    assert error_of(await api.get("/v1/datasets/ds")) == (404, "dataset_not_found")


@pytest.mark.usefixtures("running")
async def test_an_upload_is_begun_filled_and_committed(api: ApiClient) -> None:
    upload_id = await begin(api, upsert_mode="upsert")
    for note in notes(12):
        added = await add(api, upload_id, **note)
        assert added.status_code == 201, added.text
    file = {"file": ("deck.md", b"# Deck\n\nHold the rail.\n", "text/markdown")}
    added = await api.post(
        f"/v1/uploads/{upload_id}/documents", files=file, data={"source": "a/deck.md", "tags": ["x", "y"]}
    )
    assert added.json()["data"]["documents"] == 13
    assert error_of(await api.get("/v1/datasets/ds")) == (404, "dataset_not_found")

    committed = await api.post(f"/v1/uploads/{upload_id}/commit", headers={"Prefer": "wait=60"})
    assert committed.status_code == 200, committed.text
    assert committed.json()["data"]["upserted_docs"] == 13
    assert len(await builds(api)) == 1
    found = await api.retrieve("hold the rail on deck", top_k=1, mode="leaves")
    assert found["results"][0]["source"] == "a/deck.md"
    document = await api.data(f"/v1/documents/{found['results'][0]['doc_id']}")
    assert (document["tags"], document["file_name"]) == (["x", "y"], "deck.md")


async def test_what_cannot_be_read_is_refused_and_the_upload_goes_on_without_it(api: ApiClient) -> None:
    upload_id = await begin(api)
    assert error_of(await add(api, upload_id, "\x00")) == (400, "invalid_encoding")
    assert error_of(await add(api, upload_id, " ")) == (400, "empty_document")
    assert (await add(api, upload_id, "# A\n", doc_id="a")).status_code == 201
    assert error_of(await add(api, upload_id, "# B\n", doc_id="a")) == (422, "validation_error")
    committed = await api.post(f"/v1/uploads/{upload_id}/commit")
    assert (committed.status_code, committed.json()["data"]["accepted"]) == (202, 1)


async def test_a_committed_upload_is_closed(api: ApiClient) -> None:
    upload_id = await begin(api)
    await add(api, upload_id, "# A\n")
    job_id = (await api.post(f"/v1/uploads/{upload_id}/commit")).json()["data"]["job_id"]
    for response in (
        await api.post(f"/v1/uploads/{upload_id}/commit"),
        await add(api, upload_id, "# B\n"),
        await api.delete(f"/v1/uploads/{upload_id}"),
    ):
        assert error_of(response) == (409, "upload_closed")
        assert response.json()["error"]["details"]["job_id"] == job_id


async def test_a_commit_that_is_refused_can_be_repeated(api: ApiClient) -> None:
    upload_id = await begin(api, summary_llm="deepseek_v3")
    await add(api, upload_id, "# A\n")
    assert error_of(await api.post(f"/v1/uploads/{upload_id}/commit")) == (422, "missing_provider_key")
    assert error_of(await api.get("/v1/datasets/ds")) == (404, "dataset_not_found")
    again = await api.post(f"/v1/uploads/{upload_id}/commit", headers={"X-BYOK-DeepSeek-Api-Key": "k"})
    assert again.status_code == 202


async def test_an_upload_that_was_discarded_or_has_expired_is_gone(api: ApiClient, database_url: str) -> None:
    discarded, expired = await begin(api), await begin(api)
    await add(api, discarded, "# A\n")
    await add(api, expired, "# A\n")
    assert (await api.delete(f"/v1/uploads/{discarded}")).status_code == 204
    connection = await asyncpg.connect(database_url)
    await connection.execute("update uploads set expires_at = now() - interval '1 second'")
    for upload_id in (discarded, expired):
        assert error_of(await add(api, upload_id, "# B\n")) == (404, "upload_not_found")
        assert error_of(await api.post(f"/v1/uploads/{upload_id}/commit")) == (404, "upload_not_found")
    engine = create_engine(asyncpg_url(database_url), pool_size=2, timeout_s=30)
    assert await remove_expired_uploads(engine) == 1
    await engine.dispose()
    assert await connection.fetchval("select count(*) from upload_documents") == 0
    await connection.close()


async def test_an_empty_upload_does_nothing(api: ApiClient) -> None:
    upload_id = await begin(api)
    committed = await api.post(f"/v1/uploads/{upload_id}/commit")
    assert (committed.status_code, committed.json()["data"]["job_id"]) == (200, None)


async def test_an_upload_that_is_committed_while_its_dataset_is_deleted_is_gone(
    api: ApiClient, container: Container
) -> None:
    await api.submit("# First\n\nSomething is there.\n")
    upload_id = await begin(api)
    await add(api, upload_id, "# Second\n\nSomething comes.\n")
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.lock_dataset("ds")
        committing = asyncio.create_task(api.post(f"/v1/uploads/{upload_id}/commit"))
        await asyncio.sleep(0.5)
        await work.delete_dataset("ds")
        await work.commit()
    assert error_of(await committing) == (404, "upload_not_found")


async def test_a_batch_that_is_sent_again_is_followed_by_the_job_of_the_first_time(api: ApiClient) -> None:
    body = {"dataset_id": "ds", "documents": notes(3)}
    first, again = [(await api.post("/v1/documents/batch", json=body)) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["data"]["job_id"] == first.json()["data"]["job_id"] is not None
