"""Questions beyond the plain one: words and vectors together, modes, budgets, evidence, rerankers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from app.container import open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from tests.client import ApiClient, error_of
from tests.conftest import api_client
from tests.factories import handbook, page
from tests.libraries import library

begins_with_library = pytest.mark.filled_with(put=library)
needs_worker = pytest.mark.usefixtures("running")

RARE = "# Archive\n\nShelf mark ZX-4711 holds the lighthouse ledger of the harbour office.\n"


@needs_worker
@begins_with_library
async def test_a_rare_word_finds_its_passage_among_all_others(api: ApiClient) -> None:
    await api.ingest(RARE, doc_id="archive", name="archive.md")
    found = await api.retrieve("where is zx 4711?", top_k=3)
    assert found["results"][0]["doc_id"] == "archive"
    assert found["mode"] == "leaves"
    assert "names something" in found["reason"]


@begins_with_library
async def test_words_and_vectors_can_be_told_apart(api: ApiClient) -> None:
    both = await api.retrieve("honey in the hive", mode="leaves")
    vectors = await api.retrieve("honey in the hive", mode="leaves", hybrid=False)
    assert all(-1 <= hit["score"] <= 1 for hit in vectors["results"])
    assert both["results"][0]["score"] > 1
    assert both["results"][0]["doc_id"] == vectors["results"][0]["doc_id"] == "bees"


@begins_with_library
@pytest.mark.parametrize("question", ["What is this all about?", "Worum geht es?", "この文書は何についてですか"])
async def test_a_question_about_the_whole_gets_the_root_and_a_digest_of_sentences(
    api: ApiClient, question: str
) -> None:
    found = await api.retrieve(question, top_k=30, max_tokens=600)
    assert found["mode"] == "digest"
    root, *sentences = found["results"]
    assert root["node_id"] == (await api.data("/v1/datasets/ds/tree"))["root_id"]
    assert len({hit["doc_id"] for hit in sentences}) >= 3
    assert sum(hit["token_cnt"] for hit in found["results"]) <= 600
    for hit in sentences:
        document = await api.data(f"/v1/documents/{hit['doc_id']}")
        assert document["text"][hit["start"] : hit["end"]] == hit["text"]


@begins_with_library
async def test_a_summary_that_would_take_the_whole_budget_leaves_it_to_the_digest(api: ApiClient) -> None:
    found = await api.retrieve("What is this all about?", top_k=30, max_tokens=60)
    assert found["results"]
    assert all(hit["kind"] == "leaf" for hit in found["results"])


@begins_with_library
@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("Summarize everything", {"filters": {"doc_id": "bees"}}),
        ("What is the chapter about bees about?", {}),
        ("Fasse „About bees“ zusammen", {}),
    ],
)
async def test_a_whole_is_what_the_filters_or_the_question_name(
    api: ApiClient, query: str, more: dict[str, Any]
) -> None:
    found = await api.retrieve(query, **more)
    assert found["mode"] == "digest"
    own = {chunk["id"] for chunk in (await api.data("/v1/documents/bees/chunks"))["items"]}
    assert all(own.issuperset(hit["chunk_ids"]) for hit in found["results"])
    assert {hit["doc_id"] for hit in found["results"]} - {None} == {"bees"}


@begins_with_library
async def test_a_tag_that_the_question_names_limits_the_whole(api: ApiClient) -> None:
    found = await api.retrieve("Give me an overview of sea", top_k=50)
    assert "“sea”" in found["reason"]
    assert {hit["doc_id"] for hit in found["results"]} - {None} <= {"anchors", "salt", "clocks", "maps"}


@begins_with_library
async def test_a_filter_for_passages_leaves_summaries_out_of_a_whole(api: ApiClient) -> None:
    found = await api.retrieve("What is this all about?", filters={"level": 0}, expand=True)
    assert found["mode"] == "digest"
    assert {hit["kind"] for hit in found["results"]} == {"leaf"}
    expanded = await api.retrieve("What is this all about?", expand=True)
    assert expanded["results"][0]["kind"] == "root"
    assert expanded["results"][0]["evidence"]


BOOK = """# Handbook

## Ropes

Ropes are made of nylon. A rope that has frayed is cut out and burnt at its ends.
Every rope on deck has a colour for its length.

### Knots

The bowline makes a loop that does not slip. The sheet bend joins two ropes.

## Engines

The engine runs on diesel. Its filters are changed every hundred hours.
A spare belt hangs behind the ladder.
"""


@needs_worker
async def test_a_section_that_the_question_names_is_the_whole(api: ApiClient) -> None:
    await api.ingest(BOOK, name="handbook.md", chunk_size="120", chunk_overlap="0")
    found = await api.retrieve("What is the section on ropes about?", top_k=20)
    assert (found["mode"], "Ropes" in found["reason"]) == ("digest", True)
    paths = [hit["heading_path"] for hit in found["results"] if hit["kind"] == "leaf"]
    assert paths
    assert all(path[:2] == ["Handbook", "Ropes"] for path in paths), paths
    asked: dict[str, Any] = {"filters": {"heading_path": {"prefix": ["Handbook", "Engines"]}}}
    elsewhere = await api.retrieve("What is this about?", top_k=20, **asked)
    told = [hit["heading_path"] for hit in elsewhere["results"] if hit["kind"] == "leaf"]
    assert {tuple(path) for path in told} == {("Handbook", "Engines")}
    narrower: dict[str, Any] = {"filters": {"heading_path": {"prefix": ["Handbook", "Ropes", "Knots"]}}}
    inside = await api.retrieve("What is the section on ropes about?", top_k=20, **narrower)
    within = {tuple(hit["heading_path"]) for hit in inside["results"] if hit["kind"] == "leaf"}
    assert within == {("Handbook", "Ropes", "Knots")}


@begins_with_library
async def test_a_whole_that_nothing_is_called_gets_passages(api: ApiClient) -> None:
    found = await api.retrieve("Summarise the chapter on quantum gravity")
    assert found["mode"] == "leaves"


@needs_worker
async def test_a_packed_answer_gives_no_range_twice(api: ApiClient) -> None:
    await api.ingest(handbook(12), doc_id="one", chunk_size=400, chunk_overlap=150)
    document = await api.data("/v1/documents/one")
    found = await api.retrieve("honey in the hive", max_tokens=600, top_k=50)
    taken: list[tuple[int, int]] = []
    for hit in found["results"]:
        assert document["text"][hit["start"] : hit["end"]] == hit["text"]
        assert all(hit["end"] <= start or hit["start"] >= end for start, end in taken)
        taken.append((hit["start"], hit["end"]))
    in_order = await api.retrieve("honey in the hive", max_tokens=600, top_k=50, order="source")
    starts = [hit["start"] for hit in in_order["results"]]
    assert starts == sorted(starts)


@begins_with_library
async def test_every_hit_has_its_path_to_the_root(api: ApiClient) -> None:
    found = await api.retrieve("honey in the hive", mode="collapsed", top_k=50)
    root = (await api.data("/v1/datasets/ds/tree"))["root_id"]
    for hit in found["results"]:
        if hit["kind"] == "root":
            assert hit["path"] == []
            continue
        assert hit["path"][-1]["node_id"] == root
        assert [step["level"] for step in hit["path"]] == list(range(hit["level"] + 1, hit["path"][-1]["level"] + 1))
        node = await api.data(f"/v1/nodes/{hit['node_id']}")
        assert hit["path"][0]["node_id"] in {parent["node_id"] for parent in node["parents"]}


@begins_with_library
async def test_expand_gives_the_passages_under_a_summary(api: ApiClient) -> None:
    found = await api.retrieve("honey in the hive", filters={"level": [1, 2, 3]}, expand=True, top_k=20)
    assert found["results"]
    for hit in found["results"]:
        assert 0 < len(hit["evidence"]) <= 10
        assert {passage["chunk_id"] for passage in hit["evidence"]} <= set(hit["chunk_ids"])
        for passage in hit["evidence"]:
            document = await api.data(f"/v1/documents/{passage['doc_id']}")
            assert document["text"][passage["start"] : passage["end"]] == passage["text"]
    plain = await api.retrieve("honey in the hive", filters={"level": 1})
    assert all(hit["evidence"] == [] for hit in plain["results"])


@begins_with_library
async def test_levels_are_raised_and_bounded_by_request(api: ApiClient) -> None:
    raised = await api.retrieve("honey in the hive", mode="collapsed", boosts={"1": 50.0}, top_k=3)
    assert raised["results"][0]["level"] == 1
    bounded = await api.retrieve("honey in the hive", mode="collapsed", quotas={"0": 2, "1": 1, "2": 0}, top_k=20)
    levels = [hit["level"] for hit in bounded["results"]]
    assert levels.count(0) == 2
    assert levels.count(1) == 1
    assert 2 not in levels


@begins_with_library
async def test_a_threshold_stops_a_traversal(api: ApiClient) -> None:
    found = await api.retrieve("honey in the hive", mode="tree_traversal", threshold=0.99)
    assert [hit["kind"] for hit in found["results"]] == ["root"]


@begins_with_library
async def test_as_many_rows_come_back_as_match_whatever_the_words(api: ApiClient) -> None:
    chunks = (await api.data("/v1/documents/bees/chunks"))["items"]
    for question in ("honey", "nothing of this occurs: qwertz", "the of and"):
        found = await api.retrieve(question, mode="leaves", top_k=100, filters={"doc_id": "bees"})
        assert len(found["results"]) == len(chunks)


@needs_worker
async def test_deleted_words_are_gone_from_the_index(api: ApiClient, database_url: str) -> None:
    await api.ingest(handbook(12), doc_id="book", name="book.md", chunk_size=300, chunk_overlap=0)
    await api.ingest(RARE, doc_id="archive", name="archive.md")
    connection = await asyncpg.connect(database_url)
    try:
        count = "select count(*) from postings where term like '%lighthous%'"
        assert await connection.fetchval(count) > 0
        assert (await api.delete("/v1/documents/archive?hard=true")).status_code == 200
        assert await connection.fetchval(count) == 0
        found = await api.retrieve("lighthouse ledger", top_k=100)
        assert all("lighthouse" not in hit["text"].lower() for hit in found["results"])
        # Other summaries of the same tree are still found by their words.
        assert await connection.fetchval("select count(*) from postings where level = 1") > 0
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "body",
    [
        {"hybrid": "maybe"},
        {"order": "random"},
        {"boosts": {"x": 1}},
        {"boosts": {"1": "high"}},
        {"quotas": {"1": -1}},
        {"threshold": 7},
        {"reranker": ""},
        {"mystery": 1},
    ],
    ids=str,
)
async def test_options_have_their_form(api: ApiClient, body: dict[str, Any]) -> None:
    response = await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "x", **body})
    assert error_of(response) == (422, "validation_error")


@needs_worker
async def test_another_embedder_than_the_datasets_is_refused(api: ApiClient) -> None:
    await api.ingest(page("bees"))
    asked = {"dataset_id": "ds", "query": "honey", "embed_model": "openai/text-embedding-3-small"}
    assert error_of(await api.post("/v1/retrieve", json=asked)) == (409, "embedding_space_conflict")
    assert (await api.retrieve("honey", embed_model="builtin/lexical-1"))["results"]


@needs_worker
async def test_an_unknown_reranker_and_one_without_a_key_are_refused(api: ApiClient) -> None:
    await api.ingest(page("bees"))
    for name, expected in (("nobody/knows", "unknown_model"), ("voyage/rerank-2.5", "missing_provider_key")):
        response = await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "honey", "reranker": name})
        assert error_of(response) == (422, expected)


@pytest.fixture
async def reranking(settings: Settings, database_url: str, provider: RunningFakeProvider) -> AsyncIterator[ApiClient]:
    """The API with every provider's requests led to the fake one."""
    providers = settings.providers.model_copy(update={"provider_base_url_override": provider.url})
    async with (
        open_container(settings.model_copy(update={"providers": providers}), database_url) as container,
        api_client(container) as client,
    ):
        yield client


@begins_with_library
async def test_a_reranker_orders_what_was_found_with_the_callers_key(
    reranking: ApiClient, provider: RunningFakeProvider
) -> None:
    asked: dict[str, Any] = {"reranker": "voyage/rerank-2.5", "byok_voyage_api_key": "pa-brought", "top_k": 5}
    found = await reranking.retrieve("honey in the hive", **asked)
    assert found["notes"] == []
    assert found["usage"]["calls"] == 1
    assert found["results"][0]["doc_id"] == "bees"
    scores = [hit["score"] for hit in found["results"]]
    assert scores == sorted(scores, reverse=True)


@begins_with_library
async def test_a_reranker_that_fails_costs_its_order_and_not_the_answer(
    reranking: ApiClient, provider: RunningFakeProvider
) -> None:
    plain = await reranking.retrieve("honey in the hive")
    provider.faults({"kind": "status", "status": 400, "endpoint": "rerank", "count": 20})
    found = await reranking.retrieve(
        "honey in the hive", reranker="voyage/rerank-2.5", byok_voyage_api_key="pa-brought"
    )
    assert [hit["node_id"] for hit in found["results"]] == [hit["node_id"] for hit in plain["results"]]
    assert len(found["notes"]) == 1
    assert "pa-brought" not in str(found)
