"""Erasing is erasing: after each kind of it, whatever is under way, no table and no log has a word of the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.container import Container, open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from infra.compute import ProcessPool
from tests.adapters.dump import columns_that_hold
from tests.client import ApiClient
from tests.conftest import api_client, running_worker
from tests.factories import TOPICS, page
from tests.logs import written_log
from tests.paying import chats, paying
from tests.worker_processes import until_idle

# Words that stand nowhere else, in the sentence that the fake model's summaries begin with.
MARKS = ["quillback", "zarvelminster"]
SECRET = "# Doors\n\nThe quillback vault opens at zarvelminster. Its door is of oak. Its lock is of brass.\n"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    with written_log(tmp_path / "logs", "DEBUG") as path:
        yield path


@pytest.fixture
async def paid(
    settings: Settings, database_url: str, pool: ProcessPool, provider: RunningFakeProvider, log: Path
) -> AsyncIterator[Container]:
    """A service whose models are paid and refine what is uploaded, with small groups, and a worker."""
    costly = paying(settings, provider)
    costly = costly.model_copy(
        update={
            "chunk": costly.chunk.model_copy(update={"refine": "llm"}),
            "tree": costly.tree.model_copy(update={"token_budget": 400}),
        }
    )
    async with open_container(costly, database_url) as container, running_worker(costly, database_url, pool):
        yield container


@pytest.fixture
async def api(paid: Container) -> AsyncIterator[ApiClient]:
    async with api_client(paid) as client:
        yield client


async def uploaded(api: ApiClient, *datasets: str) -> None:
    for dataset in datasets or ("ds",):
        jobs = [
            await api.submit(page(topic), name=f"{topic}.md", dataset=dataset, chunk_size="200")
            for topic in list(TOPICS)[:4]
        ]
        for job in jobs:
            assert (await api.finished(job["job_id"]))["status"] == "succeeded"


async def erase(api: ApiClient, doc_id: str, dataset: str = "ds") -> None:
    gone = await api.delete(f"/v1/documents/{doc_id}", params={"hard": "true", "dataset_id": dataset})
    assert gone.status_code == 200, gone.text


async def kept(container: Container) -> list[str]:
    """The paid results that are there, by kind."""
    async with container.engine.connect() as connection:
        return list(await connection.scalars(text("select kind from model_calls order by 1")))


async def nothing_is_left(container: Container, database_url: str, log: Path, server_folder: Path) -> None:
    """At once, and when all work has ended."""
    assert await columns_that_hold(container.engine, MARKS) == set()
    await until_idle(database_url)
    assert await columns_that_hold(container.engine, MARKS) == set()
    assert words_in_logs(log, server_folder) == []


def words_in_logs(log: Path, server_folder: Path) -> list[str]:
    """Of the service and its worker, and of Postgres."""
    files = (log, *server_folder.glob("postgres.log*"))
    written = "".join(file.read_text(encoding="utf-8", errors="replace") for file in files).lower()
    assert '"job started"' in written
    return [word for word in MARKS if word in written]


async def orphans(container: Container) -> int:
    """Vectors of nothing that is there."""
    async with container.engine.connect() as connection:
        return int(
            await connection.scalar(
                text(
                    "select count(*) from embeddings e"
                    " where not exists (select from trees t where t.tree_id = e.generation_id"
                    " and (t.state <> 'superseded' or t.published_at is not null))"
                    " and not exists (select from document_versions v where v.version_id = e.generation_id)"
                )
            )
            or 0
        )


async def booked_chats(container: Container) -> int:
    async with container.engine.connect() as connection:
        booked = text("select sum(calls) from usage_ledger where stage in ('summary', 'refinement')")
        return int(await connection.scalar(booked) or 0)


async def no_job_failed(container: Container) -> None:
    async with container.engine.connect() as connection:
        failed = await connection.scalars(text("select error::text from jobs where status = 'failed'"))
        assert list(failed) == []


async def test_a_document_that_is_erased_leaves_no_word(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path
) -> None:
    await uploaded(api)
    doc = await api.ingest(SECRET, name="doors.md")
    assert await columns_that_hold(paid.engine, MARKS) >= {
        *("documents.text", "document_versions.text", "chunks.text", "postings.term", "tree_nodes.text"),
        "model_calls.output",
    }
    refinements = (await kept(paid)).count("refinement")

    await erase(api, doc["doc_id"])

    await nothing_is_left(paid, database_url, log, server_folder)
    assert (await kept(paid)).count("refinement") == refinements - 1
    assert (await kept(paid)).count("summary") > 0
    await no_job_failed(paid)


async def test_a_document_that_is_erased_after_it_was_deleted_leaves_no_word(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path
) -> None:
    await uploaded(api)
    doc = await api.ingest(SECRET, name="doors.md")
    assert (await api.delete(f"/v1/documents/{doc['doc_id']}")).status_code == 200
    await until_idle(database_url)
    assert "model_calls.output" in await columns_that_hold(paid.engine, MARKS)

    await erase(api, doc["doc_id"])

    await nothing_is_left(paid, database_url, log, server_folder)


async def test_a_dataset_that_is_deleted_leaves_no_word_and_others_keep_what_they_paid_for(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path
) -> None:
    await uploaded(api, "other")
    others = await kept(paid)
    await api.ingest(SECRET, name="doors.md")
    assert len(await kept(paid)) > len(others)

    assert (await api.delete("/v1/datasets/ds")).status_code == 200

    await nothing_is_left(paid, database_url, log, server_folder)
    assert await kept(paid) == others


async def test_a_text_in_two_datasets_is_paid_once_and_what_was_paid_goes_with_either(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path, provider: RunningFakeProvider
) -> None:
    await api.ingest(SECRET, name="doors.md", dataset="first")
    asked = chats(provider)
    doc = await api.ingest(SECRET, name="doors.md", dataset="second")
    assert chats(provider) == asked
    assert "model_calls.output" in await columns_that_hold(paid.engine, MARKS)

    # The one that only found what the other had paid for.
    assert (await api.delete("/v1/datasets/second")).status_code == 200

    assert await kept(paid) == []
    assert (await api.retrieve("Where does the quillback vault open?", dataset="first"))["results"]
    doc = (await api.data("/v1/documents", dataset_id="first"))["items"][0]
    await erase(api, doc["doc_id"], "first")
    await nothing_is_left(paid, database_url, log, server_folder)


async def struck(provider: RunningFakeProvider, times: int = 1) -> None:
    """Until so many calls are held back."""
    async with asyncio.timeout(60):
        while sum(rule["struck"] for rule in await asyncio.to_thread(provider.programmed)) < times:
            await asyncio.sleep(0.02)


def held_back(mark: str, seconds: float = 1.5, **more: Any) -> dict[str, Any]:
    return {"kind": "late_success", "seconds": seconds, "contains": mark, "count": None, **more}


@pytest.mark.parametrize("endpoint", ["chat", "contextualized"])
async def test_an_upload_that_is_under_way_ends_with_its_document(
    endpoint: str,
    paid: Container,
    api: ApiClient,
    database_url: str,
    log: Path,
    server_folder: Path,
    provider: RunningFakeProvider,
) -> None:
    """While its refinement, and while its vectors are asked for."""
    provider.faults(held_back("quillback", endpoint=endpoint))
    sent = await api.submit(SECRET, name="doors.md", doc_id="doors")
    await struck(provider)

    await erase(api, "doors")

    await nothing_is_left(paid, database_url, log, server_folder)
    assert (await api.job(sent["job_id"]))["status"] == "cancelled"
    assert await kept(paid) == []
    assert await orphans(paid) == 0


@pytest.mark.parametrize("dataset", ["ds", "fresh"])
async def test_a_build_whose_text_is_erased_meanwhile_begins_anew_without_it(
    dataset: str,
    paid: Container,
    api: ApiClient,
    database_url: str,
    log: Path,
    server_folder: Path,
    provider: RunningFakeProvider,
) -> None:
    """Beside a live tree, and in a dataset that has none yet."""
    await uploaded(api)
    # The first call about it is its refinement, the others are for summaries.
    provider.faults(held_back("quillback", endpoint="chat") | {"from": 2})
    others = [
        await api.submit(page(topic), name=f"{topic}.md", dataset=dataset, chunk_size="200")
        for topic in list(TOPICS)[4:]
    ]
    await api.submit(SECRET, name="doors.md", doc_id="doors", dataset=dataset)
    await struck(provider)

    await erase(api, "doors", dataset)

    await nothing_is_left(paid, database_url, log, server_folder)
    for job in others:
        assert (await api.job(job["job_id"]))["status"] == "succeeded"
    await no_job_failed(paid)
    assert await orphans(paid) == 0
    nodes = (await api.data(f"/v1/datasets/{dataset}/tree", limit=500))["items"]
    assert not [node for node in nodes if node["level"] > 0 and not node["title"]]
    # The answers that came after the erasure were not kept, and are on the bill.
    assert await booked_chats(paid) == chats(provider)


async def test_a_build_whose_only_text_is_erased_meanwhile_leaves_nothing(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path, provider: RunningFakeProvider
) -> None:
    provider.faults(held_back("quillback", endpoint="chat") | {"from": 2})
    await api.submit(SECRET, name="doors.md", doc_id="doors")
    await struck(provider)

    await erase(api, "doors")

    await nothing_is_left(paid, database_url, log, server_folder)
    await no_job_failed(paid)
    assert await orphans(paid) == 0
    assert (await api.get("/v1/datasets/ds/tree")).status_code == 404


async def test_an_answer_of_before_is_not_kept_for_a_document_that_has_come_again_under_the_same_id(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path, provider: RunningFakeProvider
) -> None:
    provider.faults(held_back("quillback", endpoint="chat") | {"from": 2})
    await api.submit(SECRET, name="doors.md", doc_id="doors")
    await struck(provider)
    await erase(api, "doors")
    again = "# Doors\n\nThe shed is open. Its door is of pine.\n"
    await api.submit(again, name="doors.md", doc_id="doors", refine="off")
    assert (await api.data("/v1/documents/doors"))["text"] == again

    await nothing_is_left(paid, database_url, log, server_folder)
    assert await booked_chats(paid) == chats(provider)


async def test_a_provider_that_repeats_what_it_was_sent_is_not_repeated_by_jobs_and_logs(
    paid: Container, api: ApiClient, database_url: str, log: Path, server_folder: Path, provider: RunningFakeProvider
) -> None:
    refusal = {"kind": "status", "status": 422, "contains": "quillback", "count": None}
    said = "This is not allowed: The Quillback vault opens  at zarvelminster, its door..."
    provider.faults(refusal | {"endpoint": "contextualized", "message": said})
    provider.faults(refusal | {"endpoint": "chat", "status": 500, "message": 'flagged: "zarvelminster"'})
    sent = await api.submit(SECRET, name="doors.md", doc_id="doors")
    error = (await api.finished(sent["job_id"]))["error"]
    assert (error["code"], error["details"]["status"]) == ("provider_error", 422)
    assert "left out" in error["details"]["provider_message"]

    await erase(api, "doors")

    await nothing_is_left(paid, database_url, log, server_folder)
