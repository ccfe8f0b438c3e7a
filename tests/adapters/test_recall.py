"""The breadth of an index's search is chosen by what it finds."""

from __future__ import annotations

import uuid

import numpy as np
from sqlalchemy import text

from app.container import UnitsOfWork
from infra.db.engine import create_engine
from infra.db.recall import WANTED, measure_recall
from infra.db.vector_indexes import VectorIndexes
from services.domain import DEFAULT_TENANT, EmbeddingSpace
from services.store import NewVector

SPACE = EmbeddingSpace("bench", "clustered", 32)


def vectors(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    chance = np.random.default_rng(5)
    rows = chance.standard_normal((40, 32))[chance.integers(40, size=n)] + 0.6 * chance.standard_normal((n, 32))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


async def test_the_breadth_of_a_search_is_chosen_by_its_recall(database_url: str) -> None:
    engine = create_engine(database_url)
    units = UnitsOfWork(engine)
    generation = uuid.uuid4()
    async with units(DEFAULT_TENANT) as work:
        dataset = await work.datasets.open("large", SPACE, "hnsw_cosine")
        await work.datasets.open("small", SPACE, "hnsw_cosine")
        rows = [NewVector("chunk", uuid.uuid4(), generation, 0, bytes([1]), vector) for vector in vectors(1_500)]
        await work.vectors.add("large", SPACE, rows)
        await work.commit()
    assert await measure_recall(engine) == []

    await VectorIndexes(engine, from_vectors=1_000).keep(DEFAULT_TENANT, dataset)
    (measured,) = await measure_recall(engine)
    assert (measured.dataset_id, measured.vectors) == ("large", 1_500)
    assert measured.by_breadth[measured.ef_search] >= WANTED
    async with units(DEFAULT_TENANT) as work:
        assert (await work.datasets.get("large")).ef_search == measured.ef_search
        assert (await work.datasets.get("small")).ef_search is None
    async with engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from datasets where ef_search is not null")) == 1
    await engine.dispose()
