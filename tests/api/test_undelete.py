"""What was deleted softly comes back, until it is erased."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import ApiClient, error_of
from tests.libraries import handbooks, library

QUERY = "How does an anchor hold a ship?"


async def deleted(api: ApiClient, doc_id: str, **params: str) -> dict[str, Any]:
    answer = await api.delete(f"/v1/documents/{doc_id}", params={"dataset_id": "ds", **params})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def undeleted(api: ApiClient, doc_id: str) -> dict[str, Any]:
    answer = await api.post(f"/v1/documents/{doc_id}/undelete", params={"dataset_id": "ds"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def shown(api: ApiClient, doc_id: str) -> set[tuple[str, str]]:
    """Passages of the document and all summaries that are found, as kind and text."""
    found = await api.retrieve(QUERY, mode="collapsed", top_k=100)
    return {(hit["kind"], hit["text"]) for hit in found["results"] if hit.get("doc_id") == doc_id or hit["level"] > 0}


@pytest.mark.filled_with(put=library)
async def test_what_comes_back_is_found_at_once_with_its_summaries(api: ApiClient) -> None:
    """No worker runs: the live tree is the one of before."""
    before = await shown(api, "anchors")
    assert {kind for kind, _ in before} == {"leaf", "summary", "root"}
    await deleted(api, "anchors")
    hidden = await shown(api, "anchors")
    assert hidden < before
    assert {kind for kind, _ in hidden} <= {"summary"}

    job = await undeleted(api, "anchors")

    assert await shown(api, "anchors") == before
    assert (await api.job(job["job_id"]))["job_type"] == "build"
    assert (await api.data("/v1/documents/anchors"))["status"] == "ready"


@pytest.mark.filled_with(put=library)
async def test_a_summary_that_tells_of_another_deleted_document_stays_hidden(api: ApiClient) -> None:
    before = await shown(api, "anchors")
    await deleted(api, "salt")
    without_salt = await shown(api, "anchors")
    assert "root" not in {kind for kind, _ in without_salt}
    await deleted(api, "anchors")
    await undeleted(api, "anchors")
    assert await shown(api, "anchors") == without_salt

    await undeleted(api, "salt")

    assert await shown(api, "anchors") == before


@pytest.mark.filled_with(put=library)
async def test_a_summary_that_was_written_from_an_erased_document_does_not_come_back(api: ApiClient) -> None:
    await deleted(api, "anchors")
    hidden = await shown(api, "anchors")
    await deleted(api, "salt", hard="true")
    await undeleted(api, "anchors")

    found = await shown(api, "anchors")
    assert "leaf" in {kind for kind, _ in found - hidden}
    assert not [text for kind, text in found if kind == "root" or not text]


@pytest.mark.filled_with(put=library)
@pytest.mark.usefixtures("running")
async def test_a_document_that_the_tree_was_built_without_is_put_into_it_again(api: ApiClient) -> None:
    job = await deleted(api, "anchors")
    assert (await api.finished(job["job_id"]))["status"] == "succeeded"
    assert not [kind for kind, _ in await shown(api, "anchors") if kind == "leaf"]

    job = await undeleted(api, "anchors")
    assert (await api.finished(job["job_id"]))["status"] == "succeeded"

    assert {kind for kind, _ in await shown(api, "anchors")} == {"leaf", "summary", "root"}
    assert (await api.data("/v1/datasets/ds"))["tree_status"] == "live"


@pytest.mark.filled_with(put=handbooks)
@pytest.mark.usefixtures("running")
async def test_the_only_document_of_a_dataset_comes_back_with_a_tree(api: ApiClient) -> None:
    doc_id = (await api.data("/v1/documents", dataset_id="ds"))["items"][0]["doc_id"]
    await api.finished((await deleted(api, doc_id))["job_id"])
    assert (await api.get("/v1/datasets/ds/tree")).status_code == 404

    job = await undeleted(api, doc_id)

    assert (await api.finished(job["job_id"]))["status"] == "succeeded"
    assert (await api.data("/v1/datasets/ds/tree"))["levels"]


@pytest.mark.filled_with(put=library)
async def test_what_is_not_deleted_stays_as_it_is_and_what_is_erased_is_not_there(
    api: ApiClient,
) -> None:
    assert (await undeleted(api, "bees"))["job_id"] is None
    await deleted(api, "bees", hard="true")
    for gone in ("bees", "unicorns"):
        answer = await api.post(f"/v1/documents/{gone}/undelete", params={"dataset_id": "ds"})
        assert error_of(answer) == (404, "document_not_found")
    answer = await api.post("/v1/documents/anchors/undelete", params={"dataset_id": "nowhere"})
    assert error_of(answer) == (404, "document_not_found")
