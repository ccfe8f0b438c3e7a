"""A change costs its own path of the tree: everything else is taken over, and nothing tells of what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from app.container import Container, open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from infra.compute import ProcessPool
from infra.db.engine import libpq_url
from interfaces_adaptor.repositories import Storage
from tests.client import ApiClient
from tests.conftest import api_client, running_worker
from tests.factories import TOPICS
from tests.paying import chats, paying

NOTES = 40


def note(number: int, extra: str = "") -> str:
    """Each note has three sections, and words that no other has."""
    topic, body = list(TOPICS.items())[number % len(TOPICS)]
    parts = [f"## {topic} {number}.{part}\n\n{body} Mark{number}x{part} is its sign.\n" for part in range(3)]
    return f"# Note {number}\n\n" + "\n".join(parts) + extra


@pytest.fixture(params=["contiguous", "umap_gmm"])
async def paid(
    request: pytest.FixtureRequest,
    settings: Settings,
    database_url: str,
    pool: ProcessPool,
    provider: RunningFakeProvider,
) -> AsyncIterator[Container]:
    costly = paying(settings, provider)
    tree = costly.tree.model_copy(update={"grouper": request.param, "token_budget": 600})
    costly = costly.model_copy(update={"tree": tree})
    async with open_container(costly, database_url) as container, running_worker(costly, database_url, pool):
        yield container


@pytest.fixture
async def notes(paid: Container, provider: RunningFakeProvider) -> AsyncIterator[ApiClient]:
    """Forty notes under one tree."""
    async with api_client(paid) as api:
        jobs = [
            (await api.submit(note(number), name=f"{number}.md", build_tree="false", chunk_size="200"))["job_id"]
            for number in range(NOTES)
        ]
        for job in jobs:
            await api.finished(job)
        started = await api.post("/v1/datasets/ds/rebuild", json={})
        assert (await api.finished(started.json()["data"]["job_id"]))["status"] == "succeeded"
        yield api


async def tree_of(api: ApiClient) -> dict[str, Any]:
    return await api.data("/v1/datasets/ds/tree", limit=500)


def summaries(tree: dict[str, Any]) -> int:
    return sum(level["nodes"] for level in tree["levels"] if level["level"] > 0)


async def texts(container: Container) -> str:
    async with container.engine.connect() as connection:
        rows = await connection.scalars(
            text(
                "select n.text from tree_nodes n join datasets s on s.live_tree_id = n.tree_id"
                " where n.level > 0 and n.text is not null"
            )
        )
        return "\n".join(rows)


async def lawful(container: Container) -> None:
    """One root, every node below in a group, provenance among the leaves that are there."""
    async with container.engine.connect() as connection:
        live = "(select live_tree_id from datasets)"
        roots = await connection.scalar(
            text(f"select count(*) from tree_nodes where tree_id = {live} and kind = 'root'")
        )
        orphans = await connection.scalar(
            text(
                f"select count(*) from tree_nodes n where n.tree_id = {live} and n.kind <> 'root' and not exists"
                f" (select from tree_edges e where e.tree_id = {live} and e.child_id = n.node_id and e.is_primary)"
            )
        )
        foreign = await connection.scalar(
            text(
                f"select count(*) from tree_node_chunks p where p.tree_id = {live} and p.chunk_id not in"
                f" (select chunk_id from tree_nodes where tree_id = {live} and level = 0)"
            )
        )
        stale = await connection.scalar(text(f"select count(*) from tree_nodes where tree_id = {live} and stale"))
    assert (roots, orphans, foreign, stale) == (1, 0, 0, 0)


async def test_a_new_document_costs_its_own_path(
    notes: ApiClient, paid: Container, provider: RunningFakeProvider
) -> None:
    before, paid_before = await tree_of(notes), chats(provider)

    await notes.ingest(note(NOTES), name="new.md", chunk_size="200")

    after = await tree_of(notes)
    written = chats(provider) - paid_before
    assert written == after["stats"]["written"]
    assert 0 < written <= summaries(before) / 4
    assert f"Mark{NOTES}x" in await texts(paid)
    await lawful(paid)


async def test_a_changed_sentence_costs_its_own_path_and_the_old_one_is_told_no_more(
    notes: ApiClient, paid: Container, provider: RunningFakeProvider
) -> None:
    paid_before = chats(provider)
    assert "Mark7x1" in await texts(paid)

    await notes.ingest(note(7).replace("Mark7x1", "Novel7x1"), name="7.md", chunk_size="200")

    assert 0 < chats(provider) - paid_before <= 8
    told = await texts(paid)
    assert "Novel7x1" in told
    assert "Mark7x1" not in told
    await lawful(paid)


@pytest.mark.parametrize("hard", ["true", "false"])
async def test_a_deletion_rewrites_what_told_of_it(
    notes: ApiClient, paid: Container, provider: RunningFakeProvider, hard: str
) -> None:
    paid_before = chats(provider)
    items = (await notes.data("/v1/documents", dataset_id="ds", limit=500))["items"]
    doc_id = next(item["doc_id"] for item in items if item["file_name"] == "11.md")

    gone = await notes.delete(f"/v1/documents/{doc_id}", params={"hard": hard, "dataset_id": "ds"})
    assert (await notes.finished(gone.json()["data"]["job_id"]))["status"] == "succeeded"

    assert chats(provider) - paid_before <= 10
    assert "Mark11x" not in await texts(paid)
    await lawful(paid)


async def test_a_large_batch_is_clustered_as_a_whole(notes: ApiClient, paid: Container) -> None:
    for number in range(100, 120):
        await notes.submit(note(number), name=f"{number}.md", build_tree="false", chunk_size="200")
    await notes.ingest(note(120), name="120.md", chunk_size="200")
    stats = (await tree_of(notes))["stats"]
    assert (stats["batches"], "written" in stats) == (0, False)
    await lawful(paid)


async def test_a_dataset_tells_its_generation_and_how_far_it_is_from_a_clustering_of_the_whole(
    notes: ApiClient, paid: Container
) -> None:
    await notes.ingest(note(NOTES), name="new.md", chunk_size="200")
    dataset = await notes.data("/v1/datasets/ds")
    assert (dataset["generation"], dataset["tree_status"], dataset["degraded"]) == (2, "live", 0)
    assert dataset["live_tree"]["stats"]["batches"] == 1
    assert -1 < dataset["regret"] < 1
    assert 0 <= dataset["lag"] <= paid.settings.tree.maintenance_lag
    assert (dataset["summaries_waiting"], dataset["summaries_waiting_share"]) == (0, 0.0)

    started = await notes.post("/v1/datasets/ds/rebuild", json={"full": True})
    assert (await notes.finished(started.json()["data"]["job_id"]))["result"]["unchanged"] is False

    dataset = await notes.data("/v1/datasets/ds")
    assert (dataset["generation"], dataset["regret"], dataset["lag"]) == (3, 0.0, 0.0)
    assert dataset["live_tree"]["stats"]["batches"] == 0


async def test_a_tree_whose_every_document_is_replaced_is_clustered_anew(notes: ApiClient, paid: Container) -> None:
    items = (await notes.data("/v1/documents", dataset_id="ds", limit=500))["items"]
    for item in items:
        gone = await notes.delete(f"/v1/documents/{item['doc_id']}", params={"hard": "true", "dataset_id": "ds"})
        assert gone.status_code == 200
    await notes.ingest(note(77), name="other.md", chunk_size="200")
    assert "Mark77x" in await texts(paid)
    await lawful(paid)


@pytest.mark.parametrize("moment", ["vectors_of_chunks", "leaf_texts"])
async def test_a_build_goes_on_without_what_is_erased_under_it(
    settings: Settings, database_url: str, pool: ProcessPool, provider: RunningFakeProvider, moment: str
) -> None:
    """`moment`: what the build reads just after the document was erased that it counts on."""
    costly = paying(settings, provider)
    async with open_container(costly, database_url) as container, api_client(container) as api:
        sent = [await api.submit(note(number), name=f"{number}.md", chunk_size="200") for number in range(8)]
        lost = sent[3]["doc_id"]
        erasing = erasing_before(moment, container, lost)
        async with running_worker(costly, database_url, pool, storage_class=erasing):
            ended = [await api.finished(one["job_id"]) for one in sent if one is not sent[3]]
            await until_nothing_runs(api)
    assert erasing.erased == 1
    assert {job["status"] for job in ended} == {"succeeded"}
    async with open_container(costly, database_url) as container, api_client(container) as api:
        assert [job["error"] for job in await jobs_of(api) if job["job_type"] == "build" and job["error"]] == []
        assert "Mark3x" not in await texts(container)
        await lawful(container)


def erasing_before(moment: str, container: Container, doc_id: str) -> Any:
    class Erasing(Storage):
        erased = 0

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name != moment or Erasing.erased:
                return found
            Erasing.erased = 1
            # By hand and at once: what is asked for here is read in the next moment.
            with psycopg.connect(libpq_url(str(container.engine.url.render_as_string(hide_password=False)))) as other:
                other.execute(
                    "delete from embeddings e using chunks c where c.chunk_id = e.owner_id and c.doc_id = %s", [doc_id]
                )
                other.execute("delete from documents where doc_id = %s", [doc_id])
            return found

    return Erasing


async def until_nothing_runs(api: ApiClient) -> None:
    while [job for job in await jobs_of(api) if job["status"] in ("queued", "running")]:
        await asyncio.sleep(0.05)


async def jobs_of(api: ApiClient) -> list[dict[str, Any]]:
    return list((await api.data("/v1/jobs", dataset_id="ds", limit=500))["items"])
