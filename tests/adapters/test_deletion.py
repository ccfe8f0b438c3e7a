"""Deleting anything leaves nothing of it, in no table and no index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.container import Container, open_container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from infra.compute import ProcessPool
from infra.db.vector_indexes import VectorIndexes
from services.domain import DEFAULT_TENANT, Dataset, EmbeddingSpace
from services.ingest.documents import NewVector
from services.text.lexical_vectors import lexical_vectors
from tests.adapters.dump import columns_that_hold
from tests.client import ApiClient
from tests.conftest import api_client, running_worker
from tests.factories import page
from tests.paying import paying
from utils.hashing import stable_uuid

# Words that stand nowhere else.
SECRET = "The quillback vault opens at zarvelminster."
SPACE = EmbeddingSpace("builtin", "lexical-1", 1024)

# What stays on purpose: that there was a job for a document of that id; that money was spent, by dataset and job.
KEPT_OF_A_DOCUMENT = {"jobs.doc_id"}
KEPT_OF_A_DATASET = {"usage_ledger.dataset_id", "usage_ledger.job_id"}


@pytest.fixture
async def paid(
    settings: Settings, database_url: str, pool: ProcessPool, provider: RunningFakeProvider
) -> AsyncIterator[Container]:
    """A service with a chat model that is paid, and a worker."""
    costly = paying(settings, provider)
    async with open_container(costly, database_url) as container, running_worker(costly, database_url, pool):
        yield container


@pytest.fixture
async def asked(paid: Container) -> AsyncIterator[ApiClient]:
    async with api_client(paid) as client:
        yield client


async def test_a_hard_deletion_erases_the_text_and_what_was_written_from_it(paid: Container, asked: ApiClient) -> None:
    await asked.ingest(page("bees"), name="bees.md", dataset="kept")
    gone = await asked.ingest(f"# Doors\n\n{SECRET}\n\n{page('salt')}", name="doors.md", dataset="kept")
    assert "chunks.text" in await columns_that_hold(paid.engine, ["quillback"])

    answer = await asked.delete(f"/v1/documents/{gone['doc_id']}", params={"hard": "true", "dataset_id": "kept"})
    assert answer.status_code == 200, answer.text
    assert (await asked.finished(answer.json()["data"]["job_id"]))["status"] == "succeeded"

    assert await columns_that_hold(paid.engine, ["quillback", "zarvelminster", gone["doc_id"]]) <= KEPT_OF_A_DOCUMENT


async def test_a_deleted_dataset_leaves_nothing_but_its_bill(paid: Container, asked: ApiClient) -> None:
    await asked.ingest(page("bees"), name="bees.md", dataset="kept")
    gone = await asked.ingest(f"# Doors\n\n{SECRET}\n\n{page('salt')}", name="doors.md", dataset="brimvault")
    waiting = await asked.submit(page("maps"), name="maps.md", dataset="brimvault")
    await asked.finished(waiting["job_id"])

    assert (await asked.delete("/v1/datasets/brimvault")).status_code == 200

    words = ["quillback", "zarvelminster", "brimvault", gone["doc_id"], waiting["job_id"]]
    await until_no_maintenance_waits(paid)
    assert await columns_that_hold(paid.engine, words) <= KEPT_OF_A_DATASET
    assert (await asked.retrieve("Who keeps honey for the winter?", dataset="kept"))["results"]


@pytest.mark.usefixtures("running")
async def test_a_deleted_dataset_takes_its_vector_index_along_and_can_be_made_anew_in_another_space(
    container: Container, api: ApiClient
) -> None:
    indexes = VectorIndexes(container.engine, from_vectors=20)
    await indexes.keep(DEFAULT_TENANT, await filled(container, "ds", SPACE))
    assert len(await vector_indexes(container)) == 1

    assert (await api.delete("/v1/datasets/ds")).status_code == 200
    async with asyncio.timeout(20):
        while await vector_indexes(container):
            await asyncio.sleep(0.05)

    smaller = EmbeddingSpace(SPACE.provider, SPACE.model, 512)
    dataset = await filled(container, "ds", smaller)
    await indexes.keep(DEFAULT_TENANT, dataset)
    assert dataset.space == smaller
    assert len(await vector_indexes(container)) == 1


async def test_a_dataset_made_anew_in_another_space_does_not_wait_for_its_old_index_to_go(
    container: Container, api: ApiClient
) -> None:
    indexes = VectorIndexes(container.engine, from_vectors=20)
    await indexes.keep(DEFAULT_TENANT, await filled(container, "ds", SPACE))
    assert (await api.delete("/v1/datasets/ds")).status_code == 200
    before = await vector_indexes(container)

    await indexes.keep(DEFAULT_TENANT, await filled(container, "ds", EmbeddingSpace(SPACE.provider, SPACE.model, 512)))

    assert len(before) == 1
    assert await indexes.drop_orphans() == 1
    assert len(await vector_indexes(container) - before) == 1


async def test_no_index_is_made_for_a_dataset_that_was_deleted_while_it_waited(container: Container) -> None:
    indexes = VectorIndexes(container.engine, from_vectors=20)
    dataset = await filled(container, "ds", SPACE)
    async with container.engine.begin() as connection:
        await connection.execute(text("delete from datasets where dataset_id = 'ds'"))

    await indexes.keep(DEFAULT_TENANT, dataset)

    assert await vector_indexes(container) == set()


async def test_an_index_of_a_space_that_is_no_longer_used_is_dropped_and_others_stay(container: Container) -> None:
    indexes = VectorIndexes(container.engine, from_vectors=20)
    for name in ("first", "second"):
        await indexes.keep(DEFAULT_TENANT, await filled(container, name, SPACE))
    before = await vector_indexes(container)
    async with container.engine.begin() as connection:
        await connection.execute(text("update datasets set vector_index = 'exact' where dataset_id = 'first'"))

    assert await indexes.drop_orphans() == 1
    assert len(before) == 2
    assert await vector_indexes(container) < before
    assert await indexes.drop_orphans() == 0


async def filled(container: Container, dataset_id: str, space: EmbeddingSpace) -> Dataset:
    rows = lexical_vectors([f"text number {number}" for number in range(25)])[:, : space.dimensions]
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        dataset = await work.open_dataset(dataset_id, space, "hnsw_cosine")
        vectors = [
            NewVector("chunk", stable_uuid(dataset_id, n), stable_uuid(dataset_id), 0, bytes([n]), row)
            for n, row in enumerate(rows)
        ]
        await work.add_vectors(dataset_id, space, vectors)
        await work.commit()
    return dataset


async def vector_indexes(container: Container) -> set[str]:
    async with container.engine.connect() as connection:
        return set(await connection.scalars(text("select indexname from pg_indexes where indexname like 'hnsw%'")))


async def until_no_maintenance_waits(container: Container) -> None:
    async with asyncio.timeout(20):
        async with container.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            waiting = text("select count(*) from procrastinate_jobs where task_name like '%drop_vector%'")
            while await connection.scalar(waiting):
                await asyncio.sleep(0.05)
