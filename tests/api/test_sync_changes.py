"""Documents that a commit deletes and moves beside what was uploaded, and the folder that a dataset follows."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.client import ApiClient, error_of
from tests.factories import TOPICS, page

FOLDER = "/home/oda/notes"


async def commit(api: ApiClient, files: dict[str, str], wait: str = "wait=60", **body: Any) -> httpx2.Response:
    begun = await api.post("/v1/datasets/ds/uploads", json={})
    upload_id = begun.json()["data"]["upload_id"]
    for source, text in files.items():
        added = await api.post(f"/v1/uploads/{upload_id}/documents", json={"text": text, "source": source})
        assert added.status_code == 201, added.text
    return await api.post(f"/v1/uploads/{upload_id}/commit", json=body, headers={"Prefer": wait})


async def committed(api: ApiClient, files: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = await commit(api, files, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def documents(api: ApiClient) -> dict[str, dict[str, Any]]:
    return {one["source"]: one for one in (await api.data("/v1/documents", dataset_id="ds"))["items"]}


async def builds(api: ApiClient) -> int:
    return sum(job["job_type"] == "build" for job in (await api.data("/v1/jobs", limit=500))["items"])


@pytest.mark.usefixtures("running")
async def test_what_is_new_gone_and_moved_is_one_batch_and_one_build(api: ApiClient) -> None:
    files = {f"{topic}.md": page(topic, 4) for topic in TOPICS}
    await committed(api, files, sync_root=FOLDER)
    before, first, *_ = await documents(api), *sorted(files)
    kept, gone, changed = sorted(files)[:3]
    assert all(one["synced"] for one in before.values())
    assert (await api.data("/v1/datasets/ds"))["sync_root"] == FOLDER
    built = await builds(api)

    answer = await committed(
        api,
        {changed: "# Other\n\nZarvel is the word.\n", "in/new.md": "# New\n\nQuillback is the word.\n"},
        sync_root=FOLDER,
        delete=[before[gone]["doc_id"]],
        move=[{"doc_id": before[kept]["doc_id"], "source": "in/kept.md"}],
    )
    assert (answer["upserted_docs"], answer["deleted_docs"], answer["moved_docs"]) == (2, 1, 1)
    assert {one["source"]: one["replaced"] for one in answer["documents"]} == {
        changed: before[changed]["version_id"],
        "in/new.md": None,
    }
    after = await documents(api)
    assert set(after) == set(files) - {kept, gone} | {"in/kept.md", "in/new.md"}
    moved = after["in/kept.md"]
    assert (moved["doc_id"], moved["version_id"]) == (before[kept]["doc_id"], before[kept]["version_id"])
    assert (moved["file_name"], moved["identity"]) == ("kept.md", "source:in/kept.md")
    assert await builds(api) == built + 1
    assert (await api.data("/v1/datasets/ds"))["tree_status"] == "live"
    assert (await api.retrieve(page(first.removesuffix(".md"), 1), top_k=1, mode="leaves"))["results"]
    for word in ("zarvel", "quillback"):
        found = await api.retrieve(word, top_k=1, mode="leaves")
        assert word in found["results"][0]["text"].lower()


@pytest.mark.usefixtures("running")
async def test_a_commit_that_only_deletes_has_a_build_and_one_that_only_moves_has_none(api: ApiClient) -> None:
    await committed(api, {f"{topic}.md": page(topic, 4) for topic in TOPICS})
    at = await documents(api)
    first, second, *_ = at.values()
    built = await builds(api)
    answer = await committed(api, {}, move=[{"doc_id": first["doc_id"], "source": "elsewhere.md"}])
    assert (answer["job_id"], await builds(api)) == (None, built)
    answer = await committed(api, {}, delete=[second["doc_id"]])
    assert (await api.job(answer["job_id"]))["job_type"] == "build"
    assert (await api.data("/v1/datasets/ds"))["tree_status"] == "live"


async def test_two_documents_change_places(api: ApiClient) -> None:
    await commit(api, {"a.md": "# A\n", "b.md": "# B\n"}, wait="respond-async")
    before = await documents(api)
    a, b = before["a.md"]["doc_id"], before["b.md"]["doc_id"]
    await committed(api, {}, move=[{"doc_id": a, "source": "b.md"}, {"doc_id": b, "source": "a.md"}])
    after = await documents(api)
    assert (after["a.md"]["doc_id"], after["b.md"]["doc_id"]) == (b, a)
    again = (await commit(api, {"a.md": "# B\n"}, wait="respond-async")).json()["data"]
    assert again["documents"][0]["document_id"] == b


async def test_a_document_moves_to_where_a_deleted_one_was(api: ApiClient) -> None:
    await commit(api, {"a.md": "# A\n", "b.md": "# B\n", "c.md": "# C\n"}, wait="respond-async")
    at = await documents(api)
    await api.delete(f"/v1/documents/{at['a.md']['doc_id']}")
    answer = await commit(
        api, {}, delete=[at["b.md"]["doc_id"]], move=[{"doc_id": at["c.md"]["doc_id"], "source": "b.md"}]
    )
    assert answer.status_code == 200, answer.text
    answer = await commit(api, {}, move=[{"doc_id": at["c.md"]["doc_id"], "source": "a.md"}])
    assert answer.status_code == 200, answer.text
    assert {source: one["doc_id"] for source, one in (await documents(api)).items()} == {"a.md": at["c.md"]["doc_id"]}
    # It is deleted, and known by its id alone.
    back = await api.post(f"/v1/documents/{at['a.md']['doc_id']}/undelete")
    assert back.status_code == 200
    assert len((await api.data("/v1/documents", dataset_id="ds"))["items"]) == 2


async def test_what_cannot_be_done_leaves_everything_as_it_was(api: ApiClient) -> None:
    await commit(api, {"a.md": "# A\n", "b.md": "# B\n"}, wait="respond-async", sync_root=FOLDER)
    before = await documents(api)
    a, b = before["a.md"]["doc_id"], before["b.md"]["doc_id"]
    for body, expected in (
        ({"delete": ["nobody"]}, (404, "document_not_found")),
        ({"move": [{"doc_id": "nobody", "source": "c.md"}]}, (404, "document_not_found")),
        ({"move": [{"doc_id": a, "source": "b.md"}]}, (409, "source_taken")),
        ({"move": [{"doc_id": a, "source": "c.md"}, {"doc_id": b, "source": "c.md"}]}, (422, "validation_error")),
        ({"move": [{"doc_id": a, "source": "c.md"}], "delete": [a]}, (422, "validation_error")),
        ({"delete": [b, b]}, (422, "validation_error")),
        ({"move": [{"doc_id": a, "source": ""}]}, (422, "validation_error")),
        ({"move": [{"doc_id": a, "source": "a\n"}]}, (422, "validation_error")),
        ({"sync_root": "/elsewhere", "delete": [a]}, (409, "another_sync_root")),
    ):
        assert error_of(await commit(api, {"new.md": "# New\n"}, **body)) == expected, body
        assert await documents(api) == before, body
    assert (await commit(api, {}, sync_root="/elsewhere", new_sync_root=True)).status_code == 200
    assert (await api.data("/v1/datasets/ds"))["sync_root"] == "/elsewhere"


async def test_what_an_upload_does_not_mention_stays_as_it_was(api: ApiClient) -> None:
    async def described() -> tuple[Any, Any]:
        one = (await documents(api))["notes/a.md"]
        return one["tags"], one["extra_meta"]

    async def put(text: str = "# A\n", **fields: Any) -> None:
        sent = await api.post(
            "/v1/documents", json={"dataset_id": "ds", "source": "notes/a.md", "text": text, **fields}
        )
        assert sent.status_code == 202, sent.text

    await put(tags=["old"], metadata={"author": "Oda"})
    await put("# B\n")
    assert await described() == (["old"], {"author": "Oda"})
    sent = await api.upload("# C\n", source="notes/a.md", headers={"Prefer": "respond-async"})
    assert sent.json()["data"]["replaced"] is not None
    await commit(api, {"notes/a.md": "# D\n"}, wait="respond-async")
    assert await described() == (["old"], {"author": "Oda"})
    await put(metadata={"author": "Eli"})
    assert await described() == (["old"], {"author": "Eli"})
    await put(tags=["new"])
    assert await described() == (["new"], {"author": "Eli"})
    await put(tags=[], metadata={})
    assert await described() == ([], {})
    await put(tags=["x"], metadata={"a": 1})
    await api.upload("# C\n", source="notes/a.md", tags="", extra_meta="{}", headers={"Prefer": "respond-async"})
    assert await described() == ([], {})


async def test_a_deleted_document_comes_back_without_its_tags(api: ApiClient) -> None:
    sent = {"dataset_id": "ds", "source": "a.md", "text": "# A\n", "tags": ["old"]}
    first = (await api.post("/v1/documents", json=sent)).json()["data"]
    await api.delete(f"/v1/documents/{first['document_id']}")
    again = (await api.post("/v1/documents", json={**sent, "tags": None})).json()["data"]
    assert (again["document_id"], again["replaced"]) == (first["document_id"], None)
    assert (await documents(api))["a.md"]["tags"] == []


async def test_a_document_says_which_upload_would_find_it_and_what_is_on_its_way(api: ApiClient) -> None:
    first = (await api.upload("# A\n", name="a.md", headers={"Prefer": "respond-async"})).json()["data"]
    one = (await api.data("/v1/documents", dataset_id="ds"))["items"][0]
    assert (one["identity"], one["synced"], one["newest_checksum"]) == ("file:a.md", False, first["checksum"])
    second = (await api.upload("# B\n", name="a.md", headers={"Prefer": "respond-async"})).json()["data"]
    one = (await api.data("/v1/documents", dataset_id="ds"))["items"][0]
    assert (one["checksum"], one["newest_checksum"]) == (first["checksum"], second["checksum"])


async def test_tags_of_a_text_follow_it_and_those_of_a_request_stay(api: ApiClient) -> None:
    async def tags_after(own: str, **fields: Any) -> Any:
        text = f"---\ntags: [{own}]\nowner: {own}\n---\n# A\n"
        await api.post("/v1/documents", json={"dataset_id": "ds", "source": "a.md", "text": text, **fields})
        one = (await documents(api))["a.md"]
        return one["tags"], one["extra_meta"]["owner"]

    assert await tags_after("first") == (["first"], "first")
    assert await tags_after("second") == (["second"], "second")
    assert await tags_after("third", tags=["given"]) == (["given"], "third")
    assert await tags_after("fourth", metadata={"owner": "Oda"}) == (["given"], "Oda")
    assert await tags_after("fifth") == (["given"], "Oda")
    assert await tags_after("sixth", metadata={}) == (["given"], "sixth")


@pytest.mark.usefixtures("running")
async def test_a_moved_document_is_found_and_called_by_its_new_place(api: ApiClient) -> None:
    await committed(api, {"plain name.md": "No heading stands here.\n", "other.md": page("bees")})
    before = await documents(api)
    assert before["plain name.md"]["title"] == "plain name"
    moved = before["plain name.md"]["doc_id"]
    await committed(api, {}, move=[{"doc_id": moved, "source": "in/new name.md"}])
    assert (await documents(api))["in/new name.md"]["title"] == "new name"
    for filters, expected in (({"prefix": "in/"}, {moved}), ("plain name.md", set())):
        found = await api.retrieve("What stands here?", mode="leaves", filters={"source": filters})
        assert {hit["doc_id"] for hit in found["results"]} == expected
