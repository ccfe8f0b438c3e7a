"""Reading back what is stored: documents, versions, chunks, datasets, trees, nodes, jobs, in pages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.container import open_container
from app.settings import Settings
from infra.compute import ProcessPool
from tests.client import ApiClient, error_of
from tests.conftest import api_client, running_worker
from tests.factories import TOPICS, handbook, page
from tests.libraries import library


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the grouper as it comes: here it is seen what a tree is like."""
    return settings.model_copy(update={"tree": settings.tree.model_copy(update={"grouper": "umap_gmm"})})


async def all_items(api: ApiClient, path: str, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        found = await api.data(path, **params, **({"cursor": cursor} if cursor else {}))
        items += found["items"]
        cursor = found["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.usefixtures("running")
async def test_a_tree_is_whole(api: ApiClient) -> None:
    """One root; every other node has exactly one primary parent, one level up; every leaf is under the root; each
    level is at most half of the one below."""
    await api.ingest(handbook(), doc_id="book")

    nodes = await all_items(api, "/v1/datasets/ds/tree", limit=7)
    tree = await api.data("/v1/datasets/ds/tree")
    chunks = await all_items(api, "/v1/documents/book/chunks", limit=7)

    by_id = {node["node_id"]: node for node in nodes}
    assert len(by_id) == len(nodes)
    roots = [node for node in nodes if node["kind"] == "root"]
    assert [root["node_id"] for root in roots] == [tree["root_id"]]
    sizes = {level["level"]: level["nodes"] for level in tree["levels"]}
    assert sorted(sizes, reverse=True) == list(sizes)
    assert all(sizes[level] <= sizes[level - 1] / 2 for level in sizes if level > 0)
    assert [chunk["id"] for chunk in chunks] == [node["node_id"] for node in nodes if node["level"] == 0]
    for node in nodes:
        assert node["kind"] == ("leaf" if node["level"] == 0 else "root" if node in roots else "summary")
        if node not in roots:
            assert by_id[node["primary_parent"]]["level"] == node["level"] + 1
        if node["level"] > 0:
            assert node["text"]
            assert node["title"]
            assert len(node["title"]) <= 32
    root = await api.data(f"/v1/nodes/{tree['root_id']}")
    assert [chunk["id"] for chunk in root["chunks"]] == [chunk["id"] for chunk in chunks]


@pytest.mark.usefixtures("running")
async def test_a_node_shows_its_neighbours_and_its_passages(api: ApiClient) -> None:
    await api.ingest(handbook(16), doc_id="book")
    level_one = (await api.data("/v1/datasets/ds/tree", level=1))["items"][0]

    node = await api.data(f"/v1/nodes/{level_one['node_id']}")

    assert len(node["children"]) == level_one["children"] >= 2
    assert {child["level"] for child in node["children"]} == {0}
    assert sum(parent["is_primary"] for parent in node["parents"]) == 1
    assert sorted(chunk["id"] for chunk in node["chunks"]) == sorted(child["node_id"] for child in node["children"])
    text = (await api.data("/v1/documents/book"))["text"]
    assert all(chunk["text"] == text[chunk["start"] : chunk["end"]] for chunk in node["chunks"])


@pytest.mark.usefixtures("running")
async def test_a_document_of_one_chunk_has_a_leaf_and_a_root(api: ApiClient) -> None:
    await api.ingest("word")
    levels = (await api.data("/v1/datasets/ds/tree"))["levels"]
    assert [(level["level"], level["nodes"]) for level in levels] == [(1, 1), (0, 1)]


@pytest.mark.usefixtures("running")
async def test_a_tree_says_how_it_was_made(api: ApiClient) -> None:
    await api.ingest(handbook())
    tree = await api.data("/v1/datasets/ds/tree")
    assert tree["params"]["grouper"] == "umap_gmm"
    assert tree["params"]["seed"] == 224
    assert tree["params"]["summary_llm"] == "builtin/extractive"
    assert tree["params"]["embedder"] == "builtin/lexical-1"
    assert tree["stats"]["depth"] == tree["levels"][0]["level"]
    first = tree["stats"]["levels"]["1"]
    assert first["n"] == tree["stats"]["leaves"]
    assert {"clusters", "sizes", "best_bic", "cluster_s"} <= set(first)
    assert {"wall_s", "cluster_s", "db_s", "floor_s"} <= set(tree["stats"]["timings"])


@pytest.mark.usefixtures("running")
async def test_a_dataset_tells_what_it_holds(api: ApiClient) -> None:
    for topic in TOPICS:
        await api.submit(page(topic), name=f"{topic}.md")
    jobs = await all_items(api, "/v1/jobs", dataset_id="ds", limit=3)
    for job in jobs:
        await api.finished(job["id"])

    dataset = await api.data("/v1/datasets/ds")

    assert dataset["documents"] == len(TOPICS)
    assert dataset["embedding_status"] == "done"
    assert dataset["embedding_progress"] == 1.0
    assert dataset["embedding_error"] is None
    assert dataset["live_tree"]["tree_id"].endswith("::tree")
    assert dataset["staleness"] == {"stale": False, "changes": 0, "documents_outside_tree": 0}
    assert dataset["chunks"] == dataset["live_tree"]["stats"]["leaves"]
    listed = await all_items(api, "/v1/documents", dataset_id="ds", limit=3)
    assert sorted(document["file_name"] for document in listed) == sorted(f"{topic}.md" for topic in TOPICS)


async def test_a_new_dataset_waits_for_its_embedding(api: ApiClient) -> None:
    await api.submit(page("bees"))
    dataset = await api.data("/v1/datasets/ds")
    assert dataset["embedding_status"] == "pending"
    assert dataset["embedding_progress"] == 0.0
    assert dataset["live_tree"] is None
    assert error_of(await api.get("/v1/datasets/ds/tree")) == (404, "tree_not_found")


async def test_lists_come_in_pages_that_miss_and_repeat_nothing(api: ApiClient) -> None:
    for number in range(7):
        await api.submit(page("bees"), dataset=f"set-{number}")
        await api.submit(page("bees"), name=f"{number}.md", dataset="many")

    datasets = await all_items(api, "/v1/datasets", limit=3)
    documents = await all_items(api, "/v1/documents", dataset_id="many", limit=3)
    jobs = await all_items(api, "/v1/jobs", limit=4)

    assert [dataset["dataset_id"] for dataset in datasets] == ["many", *(f"set-{number}" for number in range(7))]
    assert [document["file_name"] for document in documents] == [f"{number}.md" for number in range(7)]
    assert len({job["id"] for job in jobs}) == len(jobs) == 14
    assert [job["created_at"] for job in jobs] == sorted((job["created_at"] for job in jobs), reverse=True)


async def test_a_document_id_in_two_datasets_has_to_be_told_apart(api: ApiClient) -> None:
    await api.submit(page("bees"), doc_id="same", dataset="one")
    await api.submit(page("clocks"), doc_id="same", dataset="two")

    assert error_of(await api.get("/v1/documents/same")) == (409, "ambiguous_document")
    assert (await api.data("/v1/documents/same", dataset_id="two"))["text"] == page("clocks")


async def test_the_service_tells_its_state(api: ApiClient) -> None:
    assert (await api.get("/healthz")).json() == {"status": "ok"}
    assert (await api.get("/readyz")).json() == {"status": "ready"}
    health = await api.data("/v1/health")
    assert health["parts"]["database"]["ok"]
    assert health["parts"]["schema"]["ok"]
    assert not health["parts"]["workers"]["ok"]
    assert health["status"] == "degraded"
    await api.submit(page("bees"))
    queue = await api.data("/v1/queue/stats")
    assert (queue["queued"], queue["total"]) == (1, 1)
    assert [(entry["dataset_id"], entry["vectors"]) for entry in (await api.data("/v1/index/stats"))["items"]] == [
        ("ds", 0)
    ]


async def indexed(api: ApiClient) -> dict[str, bool]:
    return {entry["dataset_id"]: entry["indexed"] for entry in (await api.data("/v1/index/stats"))["items"]}


async def test_a_dataset_that_has_grown_gets_an_index_of_its_own_and_says_so(
    settings: Settings, database_url: str, pool: ProcessPool
) -> None:
    low = settings.model_copy(update={"vector_index_from": 3})
    async with open_container(low, database_url) as container, api_client(container) as api:
        async with running_worker(low, database_url, pool):
            await asyncio.gather(
                *(api.ingest(page(topic, 12), doc_id=topic) for topic in TOPICS), api.ingest("short", dataset="small")
            )
            while not (await indexed(api))["ds"]:  # it is made after the job has ended
                await asyncio.sleep(0.05)
        assert await indexed(api) == {"ds": True, "small": False}
        found = await api.retrieve("Which queen lays eggs?", top_k=1)
        assert "queen" in found["results"][0]["text"]
        failed = (await api.data("/v1/queue/stats"))["failed"]
        assert failed == 0, "jobs that end at once make one index, and none fails over it"


@pytest.mark.parametrize("cursor", ["x", "W10", "WyJcdTAwMDAiXQ", "Wzk5OTk5OTk5OTk5OV0", "WzEsMl0", "bnVsbA"])
@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/documents?dataset_id=ds", "/v1/documents/d/chunks", "/v1/jobs"])
async def test_a_cursor_that_the_service_did_not_give_is_refused(api: ApiClient, path: str, cursor: str) -> None:
    answer = await api.get(path + ("&" if "?" in path else "?") + f"cursor={cursor}")
    own = path == "/v1/datasets" and cursor == "Wzk5OTk5OTk5OTk5OV0"  # a number reads as a name that no dataset has
    assert answer.status_code == 200 if own else error_of(answer) == (422, "validation_error")


@pytest.mark.filled_with(put=library)
async def test_a_dataset_counts_the_summaries_that_wait_for_the_next_build(api: ApiClient) -> None:
    """No worker runs: what the deletion hid stays hidden."""
    before = await api.data("/v1/datasets/ds")
    assert (before["tree_status"], before["summaries_waiting"], before["summaries_waiting_share"]) == ("live", 0, 0)
    await api.delete("/v1/documents/bees", params={"dataset_id": "ds"})
    nodes = [node for node in await all_items(api, "/v1/datasets/ds/tree") if node["level"] > 0]
    hidden = sum(node["stale"] for node in nodes)
    dataset = await api.data("/v1/datasets/ds")
    assert dataset["tree_status"] == "behind"
    assert dataset["summaries_waiting"] == hidden > 0
    assert dataset["summaries_waiting_share"] == round(hidden / len(nodes), 4) < 1
    assert (await api.data("/v1/datasets"))["items"] == [dataset]
