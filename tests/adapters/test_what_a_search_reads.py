"""What a search reads depends on what it finds, not on what the planner knows of vectors, or of a tree built lately."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import pytest
from sqlalchemy import text

from app.container import Container
from infra.db.vector_indexes import VectorIndexes
from interfaces_adaptor.repositories.search import Search
from services.domain import DEFAULT_TENANT
from services.retrieval.hits import Filters
from services.text.lexical_vectors import lexical_vectors
from tests.client import ApiClient
from tests.factories import handbook

Result = TypeVar("Result")

pytestmark = pytest.mark.usefixtures("running")

READ = """
    select coalesce(sum(coalesce(idx_tup_fetch, 0) + seq_tup_read), 0) from pg_stat_xact_user_tables
    where relname in ('tree_node_chunks', 'tree_nodes', 'tree_edges')
"""

COMPARED = "select coalesce(sum(seq_tup_read), 0) from pg_stat_xact_user_tables where relname = 'embeddings'"


async def test_rows_that_are_read_are_those_of_the_hits(api: ApiClient, container: Container) -> None:
    await api.ingest(handbook(120))
    async with container.engine.connect() as connection:
        await connection.execute(text("analyze"))
        await connection.commit()
    # Statistics know the first tree alone; by its value the planner would take the second one for a single row.
    await rebuilt(api)
    nodes = sum(level["nodes"] for level in (await api.data("/v1/datasets/ds/tree"))["levels"])
    assert nodes > 150

    vector = lexical_vectors(["Who lays eggs in cells of wax?"])[0]
    async with container.services.open_storage(DEFAULT_TENANT, snapshot=True) as work:
        dataset = await work.get_dataset("ds")
        near = await work.nearest(dataset, vector, 10, Filters())
        hits, read = await with_rows_read(work, work.hits(dataset, near, Filters()))
        assert read < 5 * len(hits) + sum(len(hit.chunk_ids) for hit in hits)
        paths, read = await with_rows_read(work, work.paths(dataset, [one.node_id for one in near]))
        assert read < 5 * sum(len(path) for path in paths.values())


async def test_a_dataset_with_an_index_is_searched_through_it(api: ApiClient, container: Container) -> None:
    await api.ingest(handbook(120), build_tree="false")
    vector = lexical_vectors(["Who lays eggs in cells of wax?"])[0]
    async with container.services.open_storage(DEFAULT_TENANT) as work:
        dataset = await work.get_dataset("ds")
    await VectorIndexes(container.engine, from_vectors=50).keep(DEFAULT_TENANT, dataset)
    async with container.engine.connect() as connection:
        await connection.execute(text("analyze"))
        await connection.commit()
    async with container.services.open_storage(DEFAULT_TENANT, snapshot=True) as work:
        near, compared = await with_rows_read(work, work.nearest(dataset, vector, 10, Filters()), COMPARED)
        sorting = (await work.connection.execute(text("show enable_sort"))).scalar_one()
    assert len(near) == 10
    assert [one.score for one in near] == sorted((one.score for one in near), reverse=True)
    assert compared == 0, "the vectors were compared one by one"
    assert sorting == "on", "what follows has to be planned as ever"


async def rebuilt(api: ApiClient) -> None:
    started = await api.post("/v1/datasets/ds/rebuild", json={"tree": {"seed": 7}})
    assert (await api.finished(started.json()["data"]["job_id"]))["status"] == "succeeded"


async def with_rows_read(work: Search, statement: Awaitable[Result], count: str = READ) -> tuple[Result, int]:
    before = (await work.connection.execute(text(count))).scalar_one()
    result = await statement
    return result, int((await work.connection.execute(text(count))).scalar_one() - before)
