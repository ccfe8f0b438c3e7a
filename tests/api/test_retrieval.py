"""Questions: what comes back, in each mode, under each limit and filter."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.client import ApiClient, error_of
from tests.factories import handbook, page
from tests.libraries import library

begins_with_library = pytest.mark.filled_with(put=library)
needs_worker = pytest.mark.usefixtures("running")


@begins_with_library
@pytest.mark.parametrize("mode", ["collapsed", "leaves", "tree_traversal"])
async def test_a_hit_says_what_it_is_and_where_it_stands(api: ApiClient, mode: str) -> None:

    found = await api.retrieve("How do bees make honey in the hive?", mode=mode, top_k=12)

    assert found["mode"] == mode
    assert found["tree_id"].endswith("::tree")
    assert found["took_ms"] > 0
    assert 0 < len(found["results"]) <= 12
    for hit in found["results"]:
        assert hit["chunk_ids"]
        if hit["kind"] == "leaf":
            document = await api.data(f"/v1/documents/{hit['doc_id']}")
            assert document["text"][hit["start"] : hit["end"]] == hit["text"]
            assert hit["source"] == document["source"]
            assert hit["heading_path"][0] == f"About {hit['doc_id']}"
            assert (hit["level"], hit["chunk_ids"]) == (0, [hit["node_id"]])
        else:
            node = await api.data(f"/v1/nodes/{hit['node_id']}")
            assert [chunk["id"] for chunk in node["chunks"]] == hit["chunk_ids"]
            assert hit["level"] == node["level"] > 0
    best = max((hit for hit in found["results"] if hit["kind"] == "leaf"), key=lambda hit: hit["score"])
    assert best["doc_id"] == "bees"


@begins_with_library
async def test_collapsed_ranks_all_levels_together_and_leaves_only_chunks(api: ApiClient) -> None:
    collapsed = await api.retrieve("honey in the hive", mode="collapsed", top_k=50)
    leaves = await api.retrieve("honey in the hive", mode="leaves", top_k=50)
    assert {hit["level"] for hit in collapsed["results"]} > {0}
    assert {hit["level"] for hit in leaves["results"]} == {0}
    for found in (collapsed, leaves):
        scores = [hit["score"] for hit in found["results"]]
        assert scores == sorted(scores, reverse=True)


@begins_with_library
async def test_traversal_goes_from_the_root_down(api: ApiClient) -> None:
    found = await api.retrieve("honey in the hive", mode="tree_traversal", top_k=20)
    levels = [hit["level"] for hit in found["results"]]
    assert levels == sorted(levels, reverse=True)
    assert found["results"][0]["kind"] == "root"
    assert levels[-1] == 0


@begins_with_library
async def test_traversal_fills_its_rows_whatever_the_filter_leaves(api: ApiClient) -> None:
    chunks = len((await api.data("/v1/documents/bees/chunks"))["items"])
    for top_k in (1, 5, 100):
        found = await api.retrieve("honey", mode="tree_traversal", top_k=top_k, filters={"doc_id": "bees"})
        assert len(found["results"]) >= min(top_k, chunks)
        assert len(found["results"]) <= top_k
    found = await api.retrieve("honey", mode="tree_traversal", top_k=7)
    assert len(found["results"]) == 7
    assert found["results"][-1]["kind"] == "leaf"
    found = await api.retrieve("honey", mode="tree_traversal", top_k=7, filters={"level": 0})
    assert [hit["kind"] for hit in found["results"]] == ["leaf"] * 7


@begins_with_library
async def test_as_many_rows_come_back_as_match(api: ApiClient) -> None:
    chunks = (await api.data("/v1/datasets/ds"))["chunks"]
    found = await api.retrieve("anything at all", mode="leaves", top_k=100)
    assert len(found["results"]) == min(chunks, 100)


@begins_with_library
async def test_the_budget_is_kept(api: ApiClient) -> None:
    for max_tokens in (1, 100, 400, 1_000):
        found = await api.retrieve("honey in the hive", top_k=100, max_tokens=max_tokens)
        assert sum(hit["token_cnt"] for hit in found["results"]) <= max_tokens
    assert found["results"]


@begins_with_library
@pytest.mark.parametrize(
    ("filters", "documents"),
    [
        ({"doc_id": "bees"}, {"bees"}),
        ({"doc_id": ["bees", "salt"]}, {"bees", "salt"}),
        ({"source": "shelf/maps"}, {"maps"}),
        ({"tags": "sea"}, {"anchors", "salt", "clocks", "maps"}),
        ({"tags": ["n0", "n1"]}, {"anchors", "bread"}),
        ({"meta.shelf": 1}, {"bread", "glaciers", "paper", "salt"}),
        ({"meta.by.name": "b"}, {"bread", "bees"}),
        ({"meta.by.name": ["m", "p"]}, {"maps", "paper"}),
        ({"tags": "sea", "meta.shelf": 1}, {"salt"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
@pytest.mark.parametrize("mode", ["collapsed", "leaves", "tree_traversal"])
async def test_filters_hold_before_the_ranking(
    api: ApiClient, mode: str, filters: dict[str, Any], documents: set[str]
) -> None:
    found = await api.retrieve("honey in the hive", mode=mode, top_k=100, filters=filters)
    leaves = [hit for hit in found["results"] if hit["kind"] == "leaf"]
    assert (
        {hit["doc_id"] for hit in leaves} == documents
        if mode != "tree_traversal"
        else documents >= {hit["doc_id"] for hit in leaves}
    )
    for hit in found["results"]:
        node = await api.data(f"/v1/nodes/{hit['node_id']}")
        assert {chunk["doc_id"] for chunk in node["chunks"]} <= documents


@needs_worker
async def test_a_filter_that_nothing_matches_gives_nothing(api: ApiClient) -> None:
    await api.ingest(page("bees"))
    for filters in ({"doc_id": "nobody"}, {"meta.author": "nobody"}, {"level": 60}):
        assert (await api.retrieve("honey", filters=filters))["results"] == []


@needs_worker
async def test_a_level_can_be_asked_for(api: ApiClient) -> None:
    await api.ingest(handbook(12))
    found = await api.retrieve("honey in the hive", filters={"level": 1}, top_k=100)
    assert {hit["level"] for hit in found["results"]} == {1}


@needs_worker
async def test_scripts_without_spaces_and_diacritics_are_found(api: ApiClient) -> None:
    await api.ingest("# Trạm\n\nNước mưa được lọc qua cát trước khi uống.\n", doc_id="vi", name="vi.md")
    await api.ingest("# 设备\n\n借用仪器以前必须登记姓名和归还日期。\n", doc_id="zh", name="zh.md")
    await api.ingest(page("bees"), doc_id="en", name="en.md")
    for question, expected in (
        ("lọc nước mưa", "vi"),
        ("loc nuoc mua", "vi"),
        ("归还仪器的日期", "zh"),
        ("queen bee", "en"),
    ):
        assert (await api.retrieve(question, mode="leaves"))["results"][0]["doc_id"] == expected


@needs_worker
@begins_with_library
async def test_deleted_text_is_gone_when_the_delete_is_answered(api: ApiClient) -> None:
    response = await api.delete("/v1/documents/bees")
    assert response.status_code == 200, response.text
    job = response.json()["data"]["job_id"]

    for mode in ("collapsed", "leaves", "tree_traversal"):
        found = await api.retrieve("honey hive bees queen", mode=mode, top_k=100)
        assert not [hit for hit in found["results"] if "honey" in hit["text"].lower()]
    assert (await api.get("/v1/documents/bees")).status_code == 404

    assert (await api.finished(job))["status"] == "succeeded"
    tree = await api.data("/v1/datasets/ds/tree", limit=500)
    assert not [node for node in tree["items"] if node["stale"] or "honey" in (node["text"] or "")]
    assert (await api.retrieve("anything", mode="leaves", top_k=100))["results"]


@needs_worker
@begins_with_library
async def test_a_hard_delete_leaves_no_word_of_the_document(api: ApiClient, database_url: str) -> None:
    await api.delete("/v1/documents/bees?hard=true")
    assert await words_left("honey", database_url) == {}


@needs_worker
@begins_with_library
@pytest.mark.parametrize("where", ["", "&dataset_id=ds"])
async def test_what_was_deleted_softly_can_be_erased_later(api: ApiClient, database_url: str, where: str) -> None:
    softly = await api.delete(f"/v1/documents/bees?hard=false{where}")
    await api.finished(softly.json()["data"]["job_id"])
    assert set(await words_left("honey", database_url)) >= {"documents", "chunks"}
    again = await api.delete(f"/v1/documents/bees?hard=false{where}")
    assert error_of(again) == (404, "document_not_found")

    erased = await api.delete(f"/v1/documents/bees?hard=true{where}")
    assert (erased.status_code, erased.json()["data"]["dataset_id"]) == (200, "ds")
    assert await words_left("honey", database_url) == {}
    assert (await api.finished(erased.json()["data"]["job_id"]))["status"] == "succeeded"
    assert error_of(await api.delete(f"/v1/documents/bees?hard=true{where}")) == (404, "document_not_found")
    assert (await api.retrieve("anything", mode="leaves"))["results"]


@needs_worker
async def test_an_erasure_asks_which_dataset_where_two_had_the_document(api: ApiClient, database_url: str) -> None:
    """Also where one of them has deleted it softly: what is erased does not come back."""
    for dataset in ("one", "two"):
        await api.ingest(page("bees"), doc_id="bees", dataset=dataset)
    await api.delete("/v1/documents/bees?dataset_id=one")
    assert error_of(await api.delete("/v1/documents/bees?hard=true")) == (409, "ambiguous_document")
    assert (await api.delete("/v1/documents/bees?hard=true&dataset_id=one")).status_code == 200
    assert (await api.get("/v1/documents/bees")).json()["data"]["dataset_id"] == "two"
    assert (await api.delete("/v1/documents/bees?hard=true")).status_code == 200
    assert await words_left("honey", database_url) == {}


async def words_left(word: str, database_url: str) -> dict[str, int]:
    """In how many rows of each table that holds text the word still is."""
    connection = await asyncpg.connect(database_url)
    try:
        found = {
            table: await connection.fetchval(f"select count(*) from {table} where text ilike $1", f"%{word}%")
            for table in ("documents", "document_versions", "chunks", "tree_nodes")
        }
    finally:
        await connection.close()
    return {table: rows for table, rows in found.items() if rows}


@needs_worker
@begins_with_library
async def test_a_deleted_document_can_come_back(api: ApiClient) -> None:
    await api.delete("/v1/documents/bees")
    back = await api.ingest(page("bees", 6), doc_id="bees", name="bees.md")
    assert back["status"] == "embedded"
    found = await api.retrieve("honey in the hive", mode="leaves")
    assert found["results"][0]["doc_id"] == "bees"


@needs_worker
async def test_the_last_document_takes_the_tree_with_it(api: ApiClient) -> None:
    await api.ingest(page("bees"), doc_id="only")
    job = (await api.delete("/v1/documents/only")).json()["data"]["job_id"]
    assert (await api.finished(job))["status"] == "succeeded"
    assert (await api.get("/v1/datasets/ds/tree")).status_code == 404
    assert (await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "x"})).status_code == 400


@needs_worker
async def test_a_deleted_dataset_leaves_nothing(api: ApiClient) -> None:
    await api.ingest(page("bees"))
    assert (await api.delete("/v1/datasets/ds")).status_code == 200
    assert (await api.get("/v1/datasets/ds")).status_code == 404
    assert (await api.delete("/v1/datasets/ds")).status_code == 404
    assert (await api.ingest(page("bees")))["status"] == "embedded"
