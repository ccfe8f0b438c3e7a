"""The breadth of an index's search is chosen by what it finds."""

from __future__ import annotations

import uuid
from functools import partial

import numpy as np
from sqlalchemy import text

from infra.db.engine import create_engine
from infra.db.recall import WANTED, measure_recall
from infra.db.vector_indexes import VectorIndexes
from interfaces_adaptor.repositories import Storage
from services.domain import DEFAULT_TENANT, EmbeddingSpace
from services.ingest.documents import NewVector

SPACE = EmbeddingSpace("bench", "clustered", 32)


def vectors(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    chance = np.random.default_rng(5)
    rows = chance.standard_normal((40, 32))[chance.integers(40, size=n)] + 0.6 * chance.standard_normal((n, 32))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


async def test_the_breadth_of_a_search_is_chosen_by_its_recall(database_url: str) -> None:
    engine = create_engine(database_url)
    open_storage = partial(Storage, engine)
    generation = uuid.uuid4()
    async with open_storage(DEFAULT_TENANT) as work:
        dataset = await work.open_dataset("large", SPACE, "hnsw_cosine")
        await work.open_dataset("small", SPACE, "hnsw_cosine")
        rows = [NewVector("chunk", uuid.uuid4(), generation, 0, bytes([1]), vector) for vector in vectors(1_500)]
        await work.add_vectors("large", SPACE, rows)
        await work.commit()
    assert await measure_recall(engine) == []

    await VectorIndexes(engine, from_vectors=1_000).keep(DEFAULT_TENANT, dataset)
    (measured,) = await measure_recall(engine)
    assert (measured.dataset_id, measured.vectors) == ("large", 1_500)
    assert measured.by_breadth[measured.ef_search] >= WANTED
    async with open_storage(DEFAULT_TENANT) as work:
        assert (await work.get_dataset("large")).ef_search == measured.ef_search
        assert (await work.get_dataset("small")).ef_search is None
    async with engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from datasets where ef_search is not null")) == 1
    await engine.dispose()
