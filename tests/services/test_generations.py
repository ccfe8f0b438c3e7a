"""What a dataset served stays for a number and a time: it is listed, can be served again, and goes when its time is
over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from app.container import Container, open_container, open_worker
from app.settings import Settings
from constants.queue import REMOVE_OLD_GENERATIONS
from infra.compute import ProcessPool
from interfaces_adaptor.repositories import Storage
from services.cost.budget import Keys
from services.domain import DEFAULT_TENANT
from tests.client import ApiClient, error_of
from tests.conftest import api_client, running_worker
from tests.factories import TOPICS, page

# Words that no page of the factories has.
OLD, NEW = "Quillback rules.", "Zarvel rules."


async def generations(api: ApiClient, dataset: str = "ds") -> list[dict[str, Any]]:
    return list((await api.data(f"/v1/datasets/{dataset}/generations"))["items"])


async def roll_back(api: ApiClient, generation: int) -> dict[str, Any]:
    answer = await api.post("/v1/datasets/ds/rollback", json={"generation": generation})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def put(api: ApiClient, doc_id: str, body: str, **fields: Any) -> dict[str, Any]:
    return await api.ingest(body, doc_id=doc_id, name=f"{doc_id}.md", **fields)


async def drop(api: ApiClient, doc_id: str, *, hard: bool = False) -> None:
    params = {"dataset_id": "ds", "hard": str(hard).lower()}
    gone = await api.delete(f"/v1/documents/{doc_id}", params=params)
    assert gone.status_code == 200, gone.text
    assert (await api.finished(gone.json()["data"]["job_id"]))["status"] == "succeeded"


async def served(api: ApiClient) -> str:
    """All that is told about the dataset, leaves and summaries."""
    found = await api.data("/v1/datasets/ds/tree", limit=500)
    assert [node for node in found["items"] if node["stale"]] == []
    return "\n".join(node["text"] for node in found["items"])


async def documents(api: ApiClient) -> set[str]:
    return {item["doc_id"] for item in (await api.data("/v1/documents", dataset_id="ds", limit=500))["items"]}


async def count(container: Container, sql: str) -> int:
    async with container.engine.connect() as connection:
        return int(await connection.scalar(text(sql)) or 0)


async def execute(container: Container, sql: str) -> None:
    async with container.engine.begin() as connection:
        await connection.execute(text(sql))


async def history(api: ApiClient) -> None:
    """Four generations: bees; salt beside it; bees changed; salt gone."""
    await put(api, "bees", page("bees") + OLD)
    await put(api, "salt", page("salt"))
    await put(api, "bees", page("bees") + NEW)
    await drop(api, "salt")


@asynccontextmanager
async def serving(settings: Settings, database_url: str, pool: ProcessPool) -> AsyncIterator[ApiClient]:
    async with (
        open_container(settings, database_url) as container,
        running_worker(settings, database_url, pool),
        api_client(container) as api,
    ):
        yield api


def keeping(settings: Settings, kept: int, days: float = 7.0) -> Settings:
    changed = settings.generations.model_copy(update={"kept": kept, "kept_days": days})
    return settings.model_copy(update={"generations": changed})


async def remove_old(settings: Settings, database_url: str, pool: ProcessPool) -> None:
    """What workers do by the hour."""
    async with open_worker(settings, database_url, pool=pool) as worker:
        (task,) = (task for task in worker.periodic if task.name == REMOVE_OLD_GENERATIONS)
        await task.do()


# The list.


@pytest.mark.usefixtures("running")
async def test_the_list_says_what_each_generation_changed(api: ApiClient) -> None:
    await history(api)
    found = await generations(api)

    changes = [(one["generation"], one["state"], one["added"], one["changed"], one["removed"]) for one in found]
    assert changes == [
        (4, "live", 0, 0, 1),
        (3, "kept", 0, 1, 0),
        (2, "kept", 1, 0, 0),
        (1, "kept", 1, 0, 0),
    ]
    assert [one["documents"] for one in found] == [1, 2, 2, 1]
    assert found[-1]["reason"] == "first_build"
    assert {one["reason"] for one in found[:-1]} <= {"maintained", "clustered"}
    assert [one["superseded_at"] for one in found] == [None, *(one["published_at"] for one in found[:-1])]
    assert all(one["leaves"] > 0 and one["usage"]["calls"] == one["cost"] == 0 for one in found)
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["generation"], dataset["live_tree"]["tree_id"]) == (4, found[0]["tree_id"])


@pytest.mark.usefixtures("running")
async def test_the_list_comes_in_pages(api: ApiClient) -> None:
    await history(api)
    seen, cursor = [], None
    while True:
        page_of = await api.data("/v1/datasets/ds/generations", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [one["generation"] for one in page_of["items"]]
        if (cursor := page_of["next_cursor"]) is None:
            break
    assert seen == [4, 3, 2, 1]
    assert error_of(await api.get("/v1/datasets/ds/generations?cursor=x")) == (422, "validation_error")
    assert error_of(await api.get("/v1/datasets/none/generations")) == (404, "dataset_not_found")


@pytest.mark.usefixtures("running")
async def test_a_build_that_finds_nothing_changed_is_no_generation(api: ApiClient) -> None:
    await put(api, "bees", page("bees"))
    started = await api.post("/v1/datasets/ds/rebuild", json={})
    assert (await api.finished(started.json()["data"]["job_id"]))["result"]["unchanged"] is True
    assert [one["generation"] for one in await generations(api)] == [1]


@pytest.mark.usefixtures("running")
async def test_a_dataset_that_lost_its_last_document_serves_no_generation_until_the_next(api: ApiClient) -> None:
    await put(api, "bees", page("bees"))
    await drop(api, "bees")
    assert [one["state"] for one in await generations(api)] == ["kept"]
    assert (await api.data("/v1/datasets/ds"))["generation"] is None

    assert (await roll_back(api, 1))["generation"] == 2
    assert "bees" in await documents(api)
    assert (await api.retrieve("honey for the winter"))["results"]


# What is kept, and for how long.


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_so_many_are_kept_beside_the_live_one(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, kept: int
) -> None:
    async with serving(keeping(settings, kept), database_url, pool) as api:
        await history(api)
        await until_removed(container, kept + 1)
        found = await generations(api)
    assert [one["generation"] for one in found] == list(range(4, 4 - kept - 1, -1))
    for table in ("tree_nodes", "tree_node_chunks", "tree_edges"):
        orphans = f"select count(*) from {table} where tree_id not in (select tree_id from generations)"
        assert await count(container, orphans) == 0
    # The versions on which no generation stands are gone, with all that was made of them.
    replaced = "select count(*) from document_versions where state = 'superseded'"
    assert await count(container, replaced) == (1 if kept == 2 else 0)
    for table in ("embeddings", "postings", "posting_totals"):
        orphans = (
            f"select count(*) from {table} where generation_id not in (select tree_id from generations)"
            " and generation_id not in (select version_id from document_versions)"
        )
        assert await count(container, orphans) == 0


async def until_removed(container: Container, trees: int) -> None:
    """A build has succeeded before it removes what is old."""
    versions = "select count(*) from document_versions v where v.state = 'superseded' and not exists" + (
        " (select from chunks c join tree_nodes n using (tenant_id, chunk_id) where c.version_id = v.version_id)"
    )
    async with asyncio.timeout(20):
        while await count(container, "select count(*) from trees") > trees or await count(container, versions):
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("running")
async def test_what_is_past_its_time_is_removed_without_a_build(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    await history(api)
    await execute(
        container,
        "update generations set published_at = published_at - interval '8 days',"
        " superseded_at = superseded_at - interval '8 days' where generation < 3",
    )
    old = "update document_versions set superseded_at = superseded_at - interval '8 days' where state = 'superseded'"
    await execute(container, old)

    await remove_old(settings, database_url, pool)

    assert [one["generation"] for one in await generations(api)] == [4, 3]
    assert await count(container, "select count(*) from trees") == 2
    assert await count(container, "select count(*) from document_versions where state = 'superseded'") == 0
    assert NEW in await served(api)


@pytest.mark.usefixtures("running")
async def test_a_version_that_a_kept_generation_stands_on_stays(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    await history(api)
    old = "update document_versions set superseded_at = superseded_at - interval '800 days' where state = 'superseded'"
    await execute(container, old)
    await remove_old(settings, database_url, pool)
    assert await count(container, "select count(*) from document_versions where state = 'superseded'") == 1
    await roll_back(api, 2)
    assert OLD in await served(api)


async def test_a_removal_that_was_killed_is_finished_later(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    """The worker dies after the first of two trees is gone."""

    class Dying(Storage):
        steps = 0

        async def remove_superseded_tree(self, dataset_id: str) -> bool:
            Dying.steps += 1
            if Dying.steps == 2:
                raise KeyError("the worker dies here")
            return await super().remove_superseded_tree(dataset_id)

    async with running_worker(settings, database_url, pool):
        await history(api)
    fewer = keeping(settings, 0)
    async with open_worker(fewer, database_url, pool=pool, storage_class=Dying) as worker:
        (task,) = (task for task in worker.periodic if task.name == REMOVE_OLD_GENERATIONS)
        await execute(container, "update generations set superseded_at = superseded_at - interval '8 days'")
        with pytest.raises(KeyError):
            await task.do()
    assert await count(container, "select count(*) from trees") == 3
    assert NEW in await served(api)

    await remove_old(fewer, database_url, pool)

    assert await count(container, "select count(*) from trees") == 1
    assert await count(container, "select count(*) from document_versions where state = 'superseded'") == 0
    assert NEW in await served(api)


# The way back.


@pytest.mark.usefixtures("running")
async def test_a_roll_back_serves_tree_and_documents_of_then(api: ApiClient) -> None:
    await history(api)
    before = {one["generation"]: one["tree_id"] for one in await generations(api)}

    done = await roll_back(api, 2)

    assert (done["generation"], done["tree_id"], done["unchanged"], done["job_id"]) == (5, before[2], False, None)
    assert await documents(api) == {"bees", "salt"}
    told = await served(api)
    assert OLD in told
    assert NEW not in told
    hits = (await api.retrieve("What rules?", top_k=50, mode="collapsed"))["results"]
    assert any(OLD in hit["text"] for hit in hits)
    assert all(NEW not in hit["text"] for hit in hits)
    assert OLD in (await api.data("/v1/documents/bees", dataset_id="ds"))["text"]
    newest = (await generations(api))[0]
    assert (newest["reason"], newest["restored"], newest["state"]) == ("rolled_back", 2, "live")
    assert (newest["added"], newest["changed"], newest["removed"], newest["written"]) == (1, 1, 0, 0)
    dataset = await api.data("/v1/datasets/ds")
    assert (dataset["generation"], dataset["tree_status"], dataset["staleness"]["stale"]) == (5, "live", False)


@pytest.mark.usefixtures("running")
async def test_documents_that_came_later_are_deleted_and_can_come_back(api: ApiClient) -> None:
    await put(api, "bees", page("bees"))
    await put(api, "salt", page("salt"))

    await roll_back(api, 1)
    assert await documents(api) == {"bees"}
    assert "Brine" not in await served(api)
    hits = (await api.retrieve("Brine is boiled in pans", top_k=50))["results"]
    assert {hit["doc_id"] for hit in hits if hit["kind"] == "leaf"} == {"bees"}

    await roll_back(api, 2)
    assert await documents(api) == {"bees", "salt"}
    assert "Brine" in await served(api)
    await roll_back(api, 3)
    assert await documents(api) == {"bees"}


@pytest.mark.usefixtures("running")
async def test_a_document_that_was_undeleted_later_goes_with_a_roll_back(api: ApiClient) -> None:
    await put(api, "bees", page("bees"))
    await put(api, "salt", page("salt"))
    await drop(api, "salt")
    back = await api.post("/v1/documents/salt/undelete", params={"dataset_id": "ds"})
    assert (await api.finished(back.json()["data"]["job_id"]))["status"] == "succeeded"
    assert await documents(api) == {"bees", "salt"}

    await roll_back(api, 3)
    assert await documents(api) == {"bees"}
    await roll_back(api, 4)
    assert await documents(api) == {"bees", "salt"}
    assert "Brine" in await served(api)


@pytest.mark.usefixtures("running")
async def test_the_newer_content_can_be_uploaded_again_after_a_roll_back(api: ApiClient) -> None:
    await put(api, "bees", page("bees") + OLD)
    await put(api, "bees", page("bees") + NEW)
    await roll_back(api, 1)
    listed = (await api.data("/v1/documents", dataset_id="ds"))["items"]
    assert [item["status"] for item in listed] == ["ready"]
    assert (await put(api, "bees", page("bees") + OLD))["status"] == "unchanged"

    assert (await put(api, "bees", page("bees") + NEW))["status"] == "embedded"

    told = await served(api)
    assert NEW in told
    assert OLD not in told
    found = await generations(api)
    assert [(one["generation"], one["changed"]) for one in found[:2]] == [(4, 1), (3, 1)]
    versions = (await api.data("/v1/documents/bees/versions", dataset_id="ds"))["items"]
    assert [version["state"] for version in versions] == ["ready", "superseded", "superseded"]


@pytest.mark.usefixtures("running")
async def test_builds_go_on_from_what_was_rolled_back_to(api: ApiClient) -> None:
    await history(api)
    await roll_back(api, 2)
    await put(api, "maps", page("maps"))

    assert await documents(api) == {"bees", "salt", "maps"}
    told = await served(api)
    assert "contours" in told.lower()
    assert OLD in told
    assert NEW not in told
    newest = (await generations(api))[0]
    assert (newest["generation"], newest["added"], newest["changed"], newest["removed"]) == (6, 1, 0, 0)


async def test_uploads_that_are_under_way_join_the_next_build(
    settings: Settings, database_url: str, pool: ProcessPool, api: ApiClient
) -> None:
    """Of a new document, of one that the generation has, and of one that came after it."""
    async with running_worker(settings, database_url, pool):
        await put(api, "bees", page("bees") + OLD)
        await put(api, "salt", page("salt"))
        await put(api, "bees", page("bees") + NEW)
    sent = [
        await api.submit(body, doc_id=doc_id, name=f"{doc_id}.md")
        for doc_id, body in (
            ("maps", page("maps")),
            ("bees", page("bees") + "Third."),
            ("salt", page("salt") + "Second."),
        )
    ]
    await roll_back(api, 1)
    assert OLD in await served(api)
    hits = (await api.retrieve("Brine is boiled in pans", top_k=50))["results"]
    assert {hit["doc_id"] for hit in hits if hit["kind"] == "leaf"} == {"bees"}

    async with running_worker(settings, database_url, pool):
        ended = [await api.finished(one["job_id"]) for one in sent]
        while (await api.data("/v1/datasets/ds"))["staleness"]["stale"]:
            await asyncio.sleep(0.05)

    assert {job["status"] for job in ended} == {"succeeded"}
    assert await documents(api) == {"bees", "salt", "maps"}
    told = await served(api)
    assert all(words in told for words in ("Third.", "Second.", "Contours"))
    assert OLD not in told


async def test_passages_that_wait_for_their_tree_are_served_after_a_roll_back_too(
    settings: Settings, database_url: str, pool: ProcessPool, api: ApiClient
) -> None:
    """Of a new document, and of one that was deleted since and comes again."""

    class Waiting(Storage):
        async def count_indexing(self, dataset_id: str, payer: str) -> int:
            return 1  # so that no build begins

    slow = settings.model_copy(update={"tree": settings.tree.model_copy(update={"debounce_max_seconds": 600.0})})
    async with running_worker(settings, database_url, pool):
        await put(api, "bees", page("bees") + OLD)
        await put(api, "salt", page("salt"))
        await drop(api, "bees")
    async with running_worker(slow, database_url, pool, storage_class=Waiting):
        sent = [
            await api.submit(body, doc_id=doc_id, name=f"{doc_id}.md")
            for doc_id, body in (("maps", page("maps")), ("bees", page("bees") + NEW))
        ]
        for one in sent:
            while (await api.job(one["job_id"]))["stage"] != "waiting_for_tree":
                await asyncio.sleep(0.05)
    assert await documents(api) == {"salt", "maps", "bees"}

    await roll_back(api, 1)

    assert await documents(api) == {"maps", "bees"}
    assert OLD in await served(api)
    told = "\n".join(hit["text"] for hit in (await api.retrieve("What rules?", mode="leaves", top_k=50))["results"])
    assert OLD in told
    assert NEW not in told
    assert "Contours" in told

    async with running_worker(settings, database_url, pool):
        for one in sent:
            assert (await api.finished(one["job_id"]))["status"] == "succeeded"
    told = await served(api)
    assert NEW in told
    assert OLD not in told
    assert "Contours" in told


@pytest.mark.usefixtures("running")
async def test_what_came_later_goes_though_it_was_served_without_a_tree(api: ApiClient) -> None:
    await put(api, "bees", page("bees") + OLD)
    await put(api, "salt", page("salt"))
    await put(api, "maps", page("maps"), build_tree="false")
    await roll_back(api, 1)
    assert await documents(api) == {"bees"}  # maps came after generation 1

    await put(api, "paper", page("paper"), build_tree="false")
    await roll_back(api, 2)
    assert await documents(api) == {"bees", "salt"}


async def test_what_was_served_without_a_tree_before_is_left_alone(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    """It was indexed while the tree was built, and so is no leaf of it."""
    async with running_worker(settings, database_url, pool):
        await put(api, "bees", page("bees") + OLD)
        await put(api, "maps", page("maps"), build_tree="false")
        earlier = "update document_versions set ready_at = ready_at - interval '1 hour' where not build_tree"
        await execute(container, earlier)
        await put(api, "bees", page("bees") + NEW)
        await roll_back(api, 1)
    assert await documents(api) == {"bees", "maps"}
    assert "maps" in {hit["doc_id"] for hit in (await api.retrieve("Contours join places"))["results"]}


@pytest.mark.usefixtures("running")
async def test_a_roll_back_to_the_live_generation_does_nothing(api: ApiClient) -> None:
    await history(api)
    assert await roll_back(api, 4) | {"tree_id": ""} == {
        "dataset_id": "ds",
        "generation": 4,
        "tree_id": "",
        "unchanged": True,
        "job_id": None,
    }
    assert len(await generations(api)) == 4


@pytest.mark.usefixtures("running")
async def test_no_generation_brings_an_erased_document_back(container: Container, api: ApiClient) -> None:
    await put(api, "salt", page("salt") + OLD)
    await put(api, "bees", page("bees"))
    await put(api, "maps", page("maps"))
    await drop(api, "salt", hard=True)
    found = await generations(api)
    assert [one["state"] for one in found] == ["live", "erased", "erased", "erased"]
    assert found[0]["removed"] == 1
    for number in (1, 2, 3):
        refused = await api.post("/v1/datasets/ds/rollback", json={"generation": number})
        assert error_of(refused) == (409, "generation_erased")

    async with asyncio.timeout(20):  # the build has succeeded before it removes what is left of them
        while await count(container, "select count(distinct tree_id) from tree_nodes") > 1:
            await asyncio.sleep(0.05)
    await put(api, "bees", page("bees") + NEW)
    assert (await roll_back(api, 4))["generation"] == 6
    assert await documents(api) == {"bees", "maps"}


async def test_an_erasure_and_the_removal_of_an_old_tree_wait_for_each_other_and_both_succeed(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    """The erasure hides nodes of every tree and then takes their vectors, the removal goes the other way."""
    async with running_worker(settings, database_url, pool):
        await put(api, "bees", page("bees"))
        await put(api, "salt", page("salt"))
        await put(api, "maps", page("maps"))
    await execute(container, "update generations set erased_at = now() where superseded_at is not null")

    async def remove() -> bool:
        async with Storage(container.engine, DEFAULT_TENANT) as removing:
            removed = await removing.remove_superseded_tree("ds")
            await removing.commit()
        return removed

    async with Storage(container.engine, DEFAULT_TENANT) as erasing:
        await erasing.lock_dataset("ds")
        rows = await erasing.all("select version_id from document_versions where doc_id = 'salt'")
        await erasing.hide([row["version_id"] for row in rows])
        removals = [asyncio.create_task(remove()) for _ in range(2)]
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        while await count(container, waiting) < len(removals):
            await asyncio.sleep(0.02)
        await erasing.delete_documents("ds", ["salt"], hard=True)
        await erasing.commit()

    assert await asyncio.gather(*removals) == [True, True]
    assert await documents(api) == {"bees", "maps"}


@pytest.mark.usefixtures("running")
async def test_after_roll_backs_an_erasure_reaches_every_generation_of_the_same_tree(api: ApiClient) -> None:
    await put(api, "salt", page("salt") + OLD)
    await put(api, "bees", page("bees"))
    await roll_back(api, 1)
    await drop(api, "bees", hard=True)

    assert [(one["generation"], one["state"]) for one in await generations(api)] == [
        (3, "live"),
        (2, "erased"),
        (1, "erased"),
    ]
    assert OLD in await served(api)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"generation": 99}, (404, "generation_not_found")),
        ({"generation": 2}, (404, "generation_not_found")),
        ({"generation": 2**63 - 1}, (404, "generation_not_found")),
        ({"generation": 2**63}, (422, "validation_error")),
        ({"generation": 0}, (422, "validation_error")),
        ({"generation": -1}, (422, "validation_error")),
        ({"generation": 1.5}, (422, "validation_error")),
        ({"generation": "1"}, (422, "validation_error")),
        ({"generation": True}, (422, "validation_error")),
        ({"generation": None}, (422, "validation_error")),
        ({"generation": [1]}, (422, "validation_error")),
        ({}, (422, "validation_error")),
        ({"generation": 1, "hard": True}, (422, "validation_error")),
    ],
)
async def test_nonsense_is_refused(api: ApiClient, body: dict[str, Any], answer: tuple[int, str]) -> None:
    await put(api, "bees", page("bees"))
    assert error_of(await api.post("/v1/datasets/ds/rollback", json=body)) == answer
    assert error_of(await api.post("/v1/datasets/none/rollback", json={"generation": 1})) == (404, "dataset_not_found")


async def test_a_roll_back_is_refused_while_a_build_runs(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    async with running_worker(settings, database_url, pool):
        await put(api, "bees", page("bees"))
        await put(api, "salt", page("salt"))
    started = (await api.post("/v1/datasets/ds/rebuild", json={})).json()["data"]["job_id"]
    await execute(container, f"update jobs set status = 'running' where job_id = '{started}'")
    refused = await api.post("/v1/datasets/ds/rollback", json={"generation": 1})
    assert error_of(refused) == (409, "already_running")
    assert refused.json()["error"]["details"]["job_id"] == started


async def test_a_build_that_began_before_another_generation_does_not_go_over_it(
    settings: Settings, database_url: str, pool: ProcessPool, container: Container, api: ApiClient
) -> None:
    """It is a roll-back that came between the build's start and its first look at the dataset's documents."""
    async with running_worker(settings, database_url, pool):
        await put(api, "bees", page("bees") + OLD)
        await put(api, "bees", page("bees") + NEW)
    lifecycle = container.services.lifecycle

    class Late(Storage):
        done = False

        async def leaves_to_build(self, dataset_id: str, payer: str | None) -> Any:
            found = await super().leaves_to_build(dataset_id, payer)
            if not Late.done:
                Late.done = True
                await execute(container, "update jobs set status = 'queued' where status = 'running'")
                await lifecycle.roll_back(self.tenant, dataset_id, 1, Keys())
                await execute(
                    container, "update jobs set status = 'running' where status = 'queued' and job_type = 'build'"
                )
            return found

    async with running_worker(settings, database_url, pool, storage_class=Late):
        started = (await api.post("/v1/datasets/ds/rebuild", json={"full": True})).json()["data"]["job_id"]
        assert (await api.finished(started))["status"] == "succeeded"
    assert Late.done
    told = await served(api)
    assert OLD in told
    assert NEW not in told


# Readers.


@pytest.mark.usefixtures("running")
async def test_a_kept_tree_is_in_no_answer(container: Container, api: ApiClient) -> None:
    await put(api, "bees", page("bees", 12), chunk_size="200", chunk_overlap="0")
    old = {node["node_id"] for node in (await api.data("/v1/datasets/ds/tree", limit=500))["items"]}
    await put(api, "bees", page("maps", 12), chunk_size="200", chunk_overlap="0")
    assert await count(container, "select count(distinct tree_id) from tree_nodes") == 2

    new = {node["node_id"] for node in (await api.data("/v1/datasets/ds/tree", limit=500))["items"]}
    assert not old & new
    for node in old:
        assert error_of(await api.get(f"/v1/nodes/{node}")) == (404, "node_not_found")
    for mode in ("collapsed", "leaves", "tree_traversal", "digest"):
        hits = (await api.retrieve("A hive of bees keeps honey", mode=mode, top_k=50))["results"]
        assert {hit["node_id"] for hit in hits} <= new
    (index,) = (await api.data("/v1/index/stats"))["items"]
    assert index["vectors"] == len(new)


@pytest.mark.usefixtures("running")
async def test_readers_see_one_generation_or_another_and_never_a_mix(api: ApiClient) -> None:
    """Each generation says its number in every passage, and so in every summary."""

    def edition(number: int) -> str:
        parts = [f"## {topic}\n\nEdition{number} tells: {body}\n" for topic, body in TOPICS.items()]
        return f"# Edition{number}\n\n" + "\n".join(parts)

    await put(api, "book", edition(1), chunk_size="150", chunk_overlap="0")
    seen: set[str] = set()
    trees: dict[str, str] = {}
    over = asyncio.Event()

    async def read() -> None:
        while not over.is_set():
            found = await api.retrieve("Edition tells what holds a ship", mode="collapsed", top_k=20)
            told = {word for hit in found["results"] for word in hit["text"].split() if word.startswith("Edition")}
            assert len(told) == 1, told
            assert trees.setdefault(found["tree_id"], *told) in told
            seen.update(told)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    try:
        for number in (2, 3):
            await put(api, "book", edition(number), chunk_size="150", chunk_overlap="0")
        for number in (1, 3, 2):
            await roll_back(api, number)
            await asyncio.sleep(0.2)
        await put(api, "book", edition(4), chunk_size="150", chunk_overlap="0")
        await asyncio.sleep(0.2)
    finally:
        over.set()
        await asyncio.gather(*readers)
    assert seen == {f"Edition{number}" for number in (1, 2, 3, 4)}
    assert len(trees) == 4
