"""The unit of work: all or nothing, fenced by the attempt, typed when the database fails."""

from __future__ import annotations

import asyncpg
import numpy as np
import pytest
from sqlalchemy import text

from app.container import Container, open_container
from services.domain import DEFAULT_TENANT, EmbeddingSpace, TenantId
from services.errors import DatabaseUnavailable, DatasetNotFound, LeaseLost
from services.ingest.documents import NewVector
from services.jobs.job import NewJob
from utils.hashing import content_key, stable_uuid

SPACE = EmbeddingSpace("builtin", "lexical-1", 8)


def vectors(count: int) -> list[NewVector]:
    rows = np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32)
    return [
        NewVector("chunk", stable_uuid("owner", i), stable_uuid("generation"), 0, content_key(i), row)
        for i, row in enumerate(rows)
    ]


async def started_job(container: Container) -> NewJob:
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("ds", SPACE, "exact")
        await work.commit()
    return NewJob(job_type="build", dataset_id="ds", doc_id=None, version_id=None, payer="", params={})


async def test_what_is_not_committed_is_rolled_back_with_what_was_copied(container: Container) -> None:
    """A COPY that runs before SQLAlchemy's first statement would escape the transaction."""
    await started_job(container)
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.add_vectors("ds", SPACE, vectors(3))
    async with container.engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from embeddings")) == 0


async def test_vectors_come_back_as_they_were_written(container: Container) -> None:
    await started_job(container)
    written = vectors(5_000)
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        await work.add_vectors("ds", SPACE, written)
        await work.add_vectors("ds", SPACE, written[:10])
        await work.commit()
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        blocks = [block async for block in work.vectors_of_chunks([v.owner_id for v in reversed(written)], SPACE)]
        known = await work.known_vectors([written[7].content_key, content_key("never seen")], SPACE)
    assert np.array_equal(np.concatenate(blocks), np.stack([v.vector for v in reversed(written)]))
    assert list(known) == [written[7].content_key]
    assert np.array_equal(known[written[7].content_key], written[7].vector)


async def test_an_attempt_that_was_overtaken_writes_nothing(container: Container) -> None:
    job = await started_job(container)
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        job_id = await work.start_job(job)
        await work.commit()
    leases = []
    for _ in range(2):
        async with container.services.open_storage(DEFAULT_TENANT) as work:
            claimed = await work.claim_job(job_id)
            await work.commit()
        assert claimed is not None
        leases.append(claimed[1])

    with pytest.raises(LeaseLost):
        async with container.services.open_storage(DEFAULT_TENANT, leases[0]) as work:
            await work.want_tree("ds")
            await work.commit()
    async with container.services.open_storage(DEFAULT_TENANT, leases[1]) as work:
        await work.want_tree("ds")
        await work.commit()
        assert (await work.get_dataset("ds")).wanted_revision == 1


async def test_a_snapshot_sees_one_moment_and_writes_nothing(container: Container) -> None:
    await started_job(container)
    async with container.services.open_storage(DEFAULT_TENANT, snapshot=True) as reading:
        before = (await reading.get_dataset("ds")).wanted_revision
        async with container.services.open_storage(DEFAULT_TENANT) as work:
            await work.want_tree("ds")
            await work.commit()
        assert (await reading.get_dataset("ds")).wanted_revision == before


async def test_a_tenant_reads_its_own_rows(container: Container) -> None:
    await started_job(container)
    async with container.services.open_storage(TenantId("other")) as work:
        with pytest.raises(DatasetNotFound):
            await work.get_dataset("ds")


async def test_a_lost_connection_is_a_database_that_does_not_answer(container: Container, database_url: str) -> None:
    killer = await asyncpg.connect(database_url)
    try:
        with pytest.raises(DatabaseUnavailable):
            async with container.services.open_storage(DEFAULT_TENANT) as work:
                await killer.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
                await work.get_dataset("ds")
    finally:
        await killer.close()
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        with pytest.raises(DatasetNotFound):
            await work.get_dataset("ds")


async def test_a_server_that_is_not_there_is_a_database_that_does_not_answer(container: Container) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with open_container(container.settings, nowhere) as lost:
        with pytest.raises(DatabaseUnavailable):
            async with lost.services.open_storage(DEFAULT_TENANT):
                pass
        assert not (await lost.health.parts())["database"].ok
