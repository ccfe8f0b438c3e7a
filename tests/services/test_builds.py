"""Builds: shared by uploads that come together, one at a time a dataset, found again after a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.settings import Settings
from services.domain import Dataset, EmbeddingSpace
from services.tree.build import Debounce
from tests.client import ApiClient
from tests.factories import TOPICS, handbook, page


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The grouper as it comes, and a debounce that uploads of the same moment share on a busy machine too."""
    changed = {"grouper": "umap_gmm", "debounce_seconds": 0.2}
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
async def test_uploads_during_a_build_lead_to_exactly_one_more(api: ApiClient) -> None:
    first = await api.submit(handbook(60), name="book.md")
    while (await api.job(first["job_id"]))["stage"] in ("queued", "starting", "chunk", "embed", "waiting_for_tree"):
        await asyncio.sleep(0.02)
    later = [await api.submit(page(topic), name=f"{topic}.md") for topic in TOPICS]
    for job in [first, *later]:
        assert (await api.finished(job["job_id"]))["status"] == "succeeded"
    assert len(await builds_of(api, "ds")) == 2


@pytest.mark.usefixtures("running")
async def test_readers_keep_the_last_complete_tree_while_the_next_is_built(api: ApiClient) -> None:
    old = await api.ingest(handbook(20), name="book.md")
    sent = await api.submit(handbook(40), name="more.md")
    seen = set()
    while (await api.job(sent["job_id"]))["status"] not in ("succeeded", "failed"):
        found = await api.retrieve("honey in the hive", top_k=20)
        assert found["results"]
        if found["tree_id"] == old["tree_id"]:
            assert {hit["doc_id"] for hit in found["results"] if hit["kind"] == "leaf"} == {old["doc_id"]}
        seen.add(found["tree_id"])
    new = (await api.data("/v1/datasets/ds"))["live_tree"]["tree_id"]
    assert old["tree_id"] in seen
    assert seen <= {old["tree_id"], new}


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


def dataset(since: float, last: float, now: datetime) -> Dataset:
    return Dataset(
        dataset_id="ds",
        space=EmbeddingSpace("builtin", "lexical-1", 1024),
        vector_index="exact",
        settings={},
        live_tree_id=None,
        wanted_revision=1,
        built_revision=0,
        wanted_since=now - timedelta(seconds=since),
        wanted_at=now - timedelta(seconds=last),
        created_at=now,
    )


@pytest.mark.parametrize(
    ("since", "last", "indexing", "remaining"),
    [
        pytest.param(0, 0, 0, 5, id="a single upload waits for others"),
        pytest.param(3, 3, 0, 2, id="and less, the longer none has come"),
        pytest.param(6, 6, 0, 0, id="until it is quiet"),
        pytest.param(20, 1, 0, 4, id="each upload begins the wait anew"),
        pytest.param(29, 0, 0, 1, id="but not for ever"),
        pytest.param(31, 0, 9, 0, id="whatever is still coming"),
        pytest.param(8, 8, 2, 1, id="it waits for uploads that are being indexed"),
    ],
)
def test_the_debounce(since: float, last: float, indexing: int, remaining: float) -> None:
    now = datetime.now(UTC)
    assert Debounce(5, 30).remaining(dataset(since, last, now), indexing, now) == pytest.approx(remaining, abs=0.01)
