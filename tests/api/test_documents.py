"""A document's life between its uploads: found, described anew, read in parts, deleted with others of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import ApiClient, error_of
from tests.factories import TOPICS, page
from tests.libraries import library

pytestmark = pytest.mark.filled_with(put=library)

AT_SEA = {"anchors", "clocks", "maps", "salt"}


async def ids(api: ApiClient, **params: Any) -> list[str]:
    found = await api.data("/v1/documents", dataset_id="ds", **params)
    return [one["doc_id"] for one in found["items"]]


async def patched(api: ApiClient, doc_id: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.http.patch(f"/v1/documents/{doc_id}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def test_what_a_change_does_not_mention_stays_and_null_clears(api: ApiClient) -> None:
    before = await api.data("/v1/documents/bees")

    tagged = await patched(api, "bees", {"tags": ["hive", "hive", " wax "]})
    assert tagged["tags"] == ["hive", "wax"]
    assert (tagged["source"], tagged["extra_meta"]) == ("shelf/bees", before["extra_meta"])
    assert tagged["updated_at"] > before["updated_at"]

    merged = await patched(api, "bees", {"meta": {"by": {"year": 1901, "name": None}, "shelf": None, "new": [1]}})
    assert merged["extra_meta"] == {"by": {"year": 1901}, "new": [1]}

    cleared = await patched(api, "bees", {"tags": None, "meta": None, "source": None})
    assert (cleared["tags"], cleared["extra_meta"], cleared["source"]) == ([], {}, None)

    assert (await patched(api, "bees", {}))["updated_at"] == cleared["updated_at"]
    assert (await api.data("/v1/documents/bees"))["checksum"] == before["checksum"]


async def test_filters_of_retrieval_go_by_a_change_at_once_and_nothing_is_built(api: ApiClient) -> None:
    jobs = await api.data("/v1/jobs")

    await patched(api, "bees", {"tags": ["insects"], "meta": {"shelf": 7}})

    found = await api.retrieve("Who keeps honey?", filters={"tags": "insects", "meta.shelf": 7}, mode="leaves")
    assert {hit["doc_id"] for hit in found["results"]} == {"bees"}
    assert (await api.data("/v1/jobs"))["items"] == jobs["items"]


@pytest.mark.usefixtures("running")
async def test_links_go_by_a_changed_source(api: ApiClient) -> None:
    await api.ingest(
        "# Sugar\n\nSugar beet is boiled to a syrup.\n", name="s.md", doc_id="sugar", source="old/sugar.md"
    )
    text = "# Candy\n\nCandy is made of [sugar](../food/sugar.md) over a fire.\n"
    await api.ingest(text, name="c.md", doc_id="candy", source="sweets/candy.md")

    async def linked() -> list[str]:
        hits = (await api.retrieve("What is candy made of over a fire?", mode="leaves"))["results"]
        return [one["source"] for hit in hits if hit["doc_id"] == "candy" for one in hit["links"]]

    assert await linked() == []
    await patched(api, "sugar", {"source": "food/sugar.md"})
    assert await linked() == ["food/sugar.md"]
    await patched(api, "candy", {"source": "sweets/hard/candy.md"})
    assert await linked() == []


async def test_a_source_by_which_another_document_is_known_is_refused(api: ApiClient) -> None:
    known = (await api.submit(page("bread", 1), name="x.md", source="kitchen/bread.md"))["doc_id"]

    taken = await api.http.patch("/v1/documents/bees", json={"source": "kitchen/bread.md", "tags": ["lost"]})

    assert error_of(taken) == (409, "source_taken")
    assert taken.json()["error"]["details"]["doc_id"] == known
    assert "lost" not in (await api.data("/v1/documents/bees"))["tags"]
    assert (await patched(api, known, {"source": "kitchen/bread.md"}))["source"] == "kitchen/bread.md"


async def test_a_document_that_is_known_by_its_source_is_known_by_the_new_one(api: ApiClient) -> None:
    text = page("bread", 1)
    known = (await api.submit(text, name="x.md", source="old/bread.md"))["doc_id"]

    await patched(api, known, {"source": "new/bread.md"})
    again = await api.upload(text, name="x.md", source="new/bread.md", headers={"Prefer": "respond-async"})
    other = await api.upload(text, name="x.md", source="old/bread.md", headers={"Prefer": "respond-async"})
    assert again.json()["data"]["doc_id"] == known
    assert other.json()["data"]["doc_id"] != known

    await patched(api, known, {"source": None})
    third = await api.upload(text, name="x.md", source="new/bread.md", headers={"Prefer": "respond-async"})
    assert third.json()["data"]["doc_id"] != known
    by_id = await api.upload(text, name="x.md", doc_id=known, headers={"Prefer": "respond-async"})
    assert by_id.json()["data"]["doc_id"] == known


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"title": "x"}, (422, "validation_error")),
        ({"tags": "sea"}, (422, "validation_error")),
        ({"tags": ["a\u0000"]}, (422, "validation_error")),
        ({"source": "x" * 2_001}, (422, "validation_error")),
        ({"meta": {"a": "\u0000"}}, (400, "invalid_extra_meta")),
        ({"meta": {"a": "x" * 16_384}}, (400, "invalid_extra_meta")),
    ],
)
async def test_what_cannot_be_said_of_a_document_is_refused(
    api: ApiClient, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert error_of(await api.http.patch("/v1/documents/bees", json=body)) == expected


async def test_metadata_does_not_outgrow_its_limit_change_by_change(api: ApiClient) -> None:
    await patched(api, "bees", {"meta": {"a": "x" * 10_000}})
    assert error_of(await api.http.patch("/v1/documents/bees", json={"meta": {"b": "x" * 10_000}})) == (
        400,
        "invalid_extra_meta",
    )


async def test_a_deleted_document_is_not_changed(api: ApiClient) -> None:
    await api.delete("/v1/documents/bees")
    assert error_of(await api.http.patch("/v1/documents/bees", json={"tags": []})) == (404, "document_not_found")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"tags": "sea"}, AT_SEA),
        ({"tags": ["n0", "n1"]}, {"anchors", "bread"}),
        ({"source_prefix": "shelf/b"}, {"bread", "bees"}),
        ({"source_prefix": "shelf/%"}, set()),
        ({"title": "ABOUT b"}, {"bread", "bees"}),
        ({"title": "about", "tags": "sea", "source_prefix": "shelf/s"}, {"salt"}),
        ({"state": "ready"}, set(TOPICS)),
        ({"state": ["failed", "indexing"]}, set()),
        ({"state": "deleted"}, set()),
    ],
)
async def test_documents_are_listed_by_what_is_said_of_them(
    api: ApiClient, params: dict[str, Any], expected: set[str]
) -> None:
    assert set(await ids(api, **params)) == expected


async def test_deleted_documents_are_listed_where_they_are_asked_for(api: ApiClient) -> None:
    await api.delete("/v1/documents/bees")
    assert "bees" not in await ids(api)
    assert await ids(api, state="deleted") == ["bees"]
    assert set(await ids(api, state=["deleted", "ready"])) == set(TOPICS)


@pytest.mark.parametrize("name", ["created_at", "updated_at", "title", "source", "bytes", "doc_id"])
async def test_pages_of_every_order_hold_each_document_once(api: ApiClient, name: str) -> None:
    await patched(api, "maps", {"source": None})
    whole = (await api.data("/v1/documents", dataset_id="ds", sort=name))["items"]
    keys = [one[name] or "" for one in whole]
    assert keys == sorted(keys)
    for sort, expected in ((name, whole), (f"-{name}", whole[::-1])):
        seen: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            found = await api.data("/v1/documents", dataset_id="ds", sort=sort, limit=3, **cursor)
            seen += [one["doc_id"] for one in found["items"]]
            if found["next_cursor"] is None:
                break
            cursor = {"cursor": found["next_cursor"]}
        assert seen == [one["doc_id"] for one in expected]


async def test_a_cursor_of_another_order_is_refused(api: ApiClient) -> None:
    cursor = (await api.data("/v1/documents", dataset_id="ds", sort="title", limit=2))["next_cursor"]
    again = await api.get("/v1/documents", params={"dataset_id": "ds", "sort": "-title", "cursor": cursor})
    assert error_of(again) == (422, "validation_error")


async def test_size_and_kind_of_a_document_are_told(api: ApiClient) -> None:
    text = "# Żółw\n\nEin Absatz über Schildkröten 🐢.\n"
    sent = await api.submit(text, name="t.md", dataset="other")
    (told,) = (await api.data("/v1/documents", dataset_id="other"))["items"]
    assert (told["doc_id"], told["bytes"], told["mime_type"]) == (sent["doc_id"], len(text.encode()), "text/markdown")


async def test_a_text_is_read_by_ranges_of_characters(api: ApiClient) -> None:
    text = "# Żółw\n\nEin Absatz über Schildkröten 🐢 und mehr.\n"
    await api.submit(text, name="t.md", dataset="other", doc_id="t")
    ranges: list[tuple[int, int | None]] = [(0, None), (3, 8), (0, 0), (40, 10_000), (10_000, None)]
    for start, end in ranges:
        asked = {"start": start} if end is None else {"start": start, "end": end}
        read = await api.data("/v1/documents/t", **asked)
        assert read["text"] == text[start:end]
        assert read["text"] == text[read["start"] : read["end"]]
        assert read["characters"] == len(text)
    assert error_of(await api.get("/v1/documents/t", params={"start": 9, "end": 8})) == (422, "validation_error")


async def deleted(api: ApiClient, wanted: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = await api.post("/v1/documents/delete", json={"dataset_id": "ds", "filter": wanted, **options})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def test_a_preview_tells_what_a_deletion_would_take_and_takes_nothing(api: ApiClient) -> None:
    told = await deleted(api, {"tags": ["sea"]}, dry_run=True)
    assert (told["documents"], set(told["doc_ids"]), told["job_id"]) == (4, AT_SEA, None)
    assert set(await ids(api)) == set(TOPICS)


@pytest.mark.usefixtures("running")
async def test_what_a_filter_chooses_goes_at_once_with_one_build(api: ApiClient) -> None:
    before = {job["id"] for job in (await api.data("/v1/jobs"))["items"]}

    told = await deleted(api, {"tags": "sea", "source": {"prefix": "shelf/"}})

    assert told["documents"] == 4
    assert set(await ids(api)) == set(TOPICS) - AT_SEA
    found = await api.retrieve("Where does an anchor hang?", top_k=50)
    assert found["results"]
    assert not {hit["doc_id"] for hit in found["results"]} & AT_SEA
    assert (await api.finished(told["job_id"]))["status"] == "succeeded"
    after = {job["id"] for job in (await api.data("/v1/jobs"))["items"]}
    assert after - before == {told["job_id"]}
    assert (await api.post("/v1/documents/maps/undelete")).status_code == 200


async def test_an_erasure_by_filter_reaches_what_is_deleted_already(api: ApiClient) -> None:
    await api.delete("/v1/documents/salt")

    assert (await deleted(api, {"tags": "sea"}, dry_run=True))["documents"] == 3
    assert (await deleted(api, {"tags": "sea"}, dry_run=True, hard=True))["documents"] == 4
    assert (await deleted(api, {"tags": "sea"}, hard=True))["documents"] == 4

    assert set(await ids(api, state=["deleted", "ready"])) == set(TOPICS) - AT_SEA
    assert error_of(await api.post("/v1/documents/salt/undelete")) == (404, "document_not_found")
    assert (await deleted(api, {"tags": "sea"}, hard=True)) == {
        "dataset_id": "ds", "dry_run": False, "documents": 0, "doc_ids": [], "job_id": None,
    }  # fmt: skip


async def test_a_deletion_that_would_take_everything_unsaid_is_refused(api: ApiClient) -> None:
    for body, expected in (
        ({"dataset_id": "ds", "filter": {}}, (422, "validation_error")),
        ({"dataset_id": "ds"}, (422, "validation_error")),
        ({"dataset_id": "ds", "filter": {"tag": "sea"}}, (422, "validation_error")),
        ({"filter": {"tags": "sea"}}, (400, "missing_dataset_id")),
        ({"dataset_id": "none", "filter": {"tags": "sea"}}, (404, "dataset_not_found")),
    ):
        assert error_of(await api.post("/v1/documents/delete", json=body)) == expected
    assert (await deleted(api, {"doc_id": []}))["documents"] == 0
    assert set(await ids(api)) == set(TOPICS)
