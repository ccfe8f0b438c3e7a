"""Builds: shared by uploads that come together, one at a time a dataset, found again after a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.settings import Settings
from services.domain import Dataset, EmbeddingSpace
from services.tree.build import pause_of
from tests.client import ApiClient
from tests.factories import TOPICS, handbook, page


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The grouper as it comes."""
    changed = {"grouper": "umap_gmm"}
    return settings.model_copy(update={"tree": settings.tree.model_copy(update=changed)})


async def builds_of(api: ApiClient, dataset: str) -> list[dict[str, object]]:
    jobs = (await api.data("/v1/jobs", dataset_id=dataset, limit=500))["items"]
    return [job for job in jobs if job["job_type"] == "build"]


@pytest.mark.usefixtures("running")
async def test_twenty_uploads_at_once_are_twenty_documents_and_at_most_three_builds(api: ApiClient) -> None:
    answers = await asyncio.gather(
        *(api.ingest(f"{page('bees')}\n\nNumber {number}.\n", name=f"{number}.md") for number in range(20))
    )

    assert {answer["status"] for answer in answers} == {"embedded"}
    assert len({answer["doc_id"] for answer in answers}) == 20
    builds = await builds_of(api, "ds")
    assert 1 <= len(builds) <= 3
    assert {build["status"] for build in builds} == {"succeeded"}
    dataset = await api.data("/v1/datasets/ds")
    assert dataset["documents"] == 20
    assert dataset["staleness"]["stale"] is False


@pytest.mark.usefixtures("running")
async def test_datasets_build_at_the_same_time(api: ApiClient) -> None:
    """Each build of two asks for its turn while the other is under way."""
    texts = handbook(30)
    answers = await asyncio.gather(*(api.ingest(texts, dataset=f"set-{number}") for number in range(4)))
    assert len({answer["tree_id"] for answer in answers}) == 4
    spans = []
    for number in range(4):
        (build,) = await builds_of(api, f"set-{number}")
        spans.append((str(build["started_at"]), str(build["finished_at"])))
    assert any(a < d and c < b for i, (a, b) in enumerate(spans) for c, d in spans[i + 1 :])


@pytest.mark.usefixtures("running")
async def test_uploads_during_a_build_share_the_next(api: ApiClient) -> None:
    first = await api.submit(handbook(60), name="book.md")
    while (await api.job(first["job_id"]))["stage"] in ("queued", "starting", "chunk", "embed", "waiting_for_tree"):
        await asyncio.sleep(0.02)
    later = await asyncio.gather(*(api.submit(page(topic), name=f"{topic}.md") for topic in TOPICS))
    for job in [first, *later]:
        assert (await api.finished(job["job_id"]))["status"] == "succeeded"
    # One more; or two, where the first has ended before the last upload is there.
    assert 2 <= len(await builds_of(api, "ds")) <= 3


@pytest.mark.usefixtures("running")
async def test_readers_keep_the_last_complete_tree_while_the_next_is_built(api: ApiClient) -> None:
    old = await api.ingest(handbook(20), name="book.md")
    of_old = {
        node["node_id"] for node in (await api.data("/v1/datasets/ds/tree", limit=500))["items"] if node["level"] > 0
    }
    sent = await api.submit(handbook(40), name="more.md")
    seen = set()
    while (await api.job(sent["job_id"]))["status"] not in ("succeeded", "failed"):
        found = await api.retrieve("honey in the hive", top_k=20)
        assert found["results"]
        summaries = {hit["node_id"] for hit in found["results"] if hit["kind"] != "leaf"}
        assert summaries <= of_old if found["tree_id"] == old["tree_id"] else not summaries & of_old
        seen.add(found["tree_id"])
    new = (await api.data("/v1/datasets/ds"))["live_tree"]["tree_id"]
    assert old["tree_id"] in seen
    assert seen <= {old["tree_id"], new}


@pytest.mark.usefixtures("running")
async def test_the_passages_of_a_new_document_are_read_before_the_tree_holds_them(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tree.build.pause_of", lambda *_: 3600.0)
    sent = await api.submit(handbook(3), name="first.md")
    job = await api.stage(sent["job_id"], "waiting_for_tree")
    assert job["status"] == "running"
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["embedding_status"], dataset["tree_status"], dataset["live_tree"]) == ("done", "building", None)
    for mode in ("leaves", "auto", "collapsed"):
        found = await api.retrieve("honey in the hive", mode=mode)
        assert {hit["doc_id"] for hit in found["results"]} == {sent["doc_id"]}
        assert found["tree_id"] is None


@pytest.mark.usefixtures("running")
async def test_a_changed_document_is_read_as_it_was_until_the_tree_holds_the_change(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await api.ingest("# Bees\n\nThe queen is called Wilhelmina.\n", doc_id="bees")

    monkeypatch.setattr("services.tree.build.pause_of", lambda *_: 3600.0)
    sent = await api.submit("# Bees\n\nThe queen is called Ottoline.\n", doc_id="bees")
    await api.stage(sent["job_id"], "waiting_for_tree")
    found = await api.retrieve("Who is the queen?", mode="collapsed")
    assert "Wilhelmina" in str(found["results"])
    assert "Ottoline" not in str(found["results"])
    assert found["tree_id"] == old["tree_id"]


@pytest.mark.usefixtures("running")
async def test_the_same_documents_give_the_same_tree_anywhere(api: ApiClient) -> None:
    outlines = []
    for dataset, order in (("one", list(TOPICS)), ("two", list(reversed(TOPICS)))):
        jobs = [await api.submit(page(topic, 8), name=f"{topic}.md", dataset=dataset) for topic in order]
        for job in jobs:
            await api.finished(job["job_id"])
        tree = await api.data(f"/v1/datasets/{dataset}/tree", limit=500)
        root, *others = tree["items"]
        assert root["title"] == dataset
        outlines.append([(node["level"], node["kind"], node["title"], node["text"]) for node in others])
        outlines[-1].append((root["level"], root["kind"], "", root["text"]))
    assert outlines[0] == outlines[1]


def dataset(since: float, now: datetime) -> Dataset:
    return Dataset(
        dataset_id="ds",
        space=EmbeddingSpace("builtin", "lexical-1", 1024),
        vector_index="exact",
        settings={},
        live_tree_id=None,
        wanted_revision=1,
        built_revision=0,
        wanted_since=now - timedelta(seconds=since),
        wanted_at=now - timedelta(seconds=since),
        created_at=now,
    )


@pytest.mark.parametrize(
    ("since", "indexing", "pause"),
    [
        pytest.param(0, 0, 0, id="with nothing on its way a build begins at once"),
        pytest.param(0, 3, 2, id="it looks again while uploads are on their way"),
        pytest.param(29, 3, 1, id="but does not wait longer than it may"),
        pytest.param(31, 9, 0, id="whatever is still coming"),
    ],
)
def test_how_long_a_build_waits(since: float, indexing: int, pause: float) -> None:
    now = datetime.now(UTC)
    assert pause_of(dataset(since, now), indexing, 30, now) == pytest.approx(pause, abs=0.01)
