"""How many of the true nearest neighbours a dataset's HNSW index finds, and the breadth of search that finds enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.db.vector_indexes import index_name
from services.domain import EmbeddingSpace

OPERATORS = {"hnsw_cosine": "<=>", "hnsw_ip": "<#>", "hnsw_l2": "<->"}
BREADTHS = (40, 60, 100, 160, 250, 400, 640, 1000)
WANTED = 0.98
NEIGHBOURS = 10
QUESTIONS = 100
# What half precision, in which the index is kept, cannot tell apart. Texts that repeat (a page in each of ten versions
# of a manual) have the same vector: which of them are the ten nearest is chance, and no fault of the index.
TIE = 1e-4


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall at 10 by breadth (`ef_search`), as far as it was tried: up to the first that is enough."""

    dataset_id: str
    vectors: int
    by_breadth: dict[int, float]

    @property
    def ef_search(self) -> int:
        """The least breadth that finds enough, else the widest."""
        return max(self.by_breadth)

    @property
    def enough(self) -> bool:
        return self.by_breadth[self.ef_search] >= WANTED


@dataclass(frozen=True, slots=True)
class Space:
    """One dataset's vectors, as the search statement names them."""

    tenant_id: str
    dataset_id: str
    model: str
    dim: int
    operator: str

    @property
    def bound(self) -> dict[str, Any]:
        return {"tenant": self.tenant_id, "dataset": self.dataset_id, "model": self.model, "dim": self.dim}


HERE = "tenant_id = :tenant and dataset_id = :dataset and model = :model and dim = :dim"


async def measure_recall(engine: AsyncEngine) -> list[Recall]:
    """For each dataset that has an index: its own vectors are the questions, everything else is compared exactly. The
    breadth that is found is kept and used from the next request on."""
    measured: list[Recall] = []
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("select tenant_id, dataset_id, embed_provider, embed_model, embed_dim, vector_index from datasets")
        )
        for tenant, dataset, provider, model, dim, kind in rows.all():
            name = index_name(tenant, dataset, EmbeddingSpace(provider, model, dim), kind)
            valid = await connection.scalar(
                text("select indisvalid from pg_index where indexrelid = to_regclass(:name)"), {"name": name}
            )
            if not valid:
                continue
            space = Space(tenant, dataset, f"{provider}/{model}", dim, OPERATORS[kind])
            recall = await of_dataset(connection, space)
            await connection.execute(
                text("update datasets set ef_search = :ef where tenant_id = :tenant and dataset_id = :dataset"),
                {"ef": recall.ef_search, "tenant": tenant, "dataset": dataset},
            )
            await connection.commit()
            measured.append(recall)
    return measured


async def of_dataset(connection: AsyncConnection, space: Space) -> Recall:
    count = await connection.scalar(text(f"select count(*) from embeddings where {HERE}"), space.bound)
    rows = await connection.execute(
        # Ids are hashes, so that their order is one of chance.
        text(f"select owner_id, v from embeddings where {HERE} order by owner_id limit {QUESTIONS}"),
        space.bound,
    )
    questions: Sequence[tuple[UUID, Any]] = [(row[0], row[1]) for row in rows]
    truth = [await nearest(connection, space, question, exact=True) for question in questions]
    by_breadth: dict[int, float] = {}
    for breadth in BREADTHS:
        await connection.execute(text(f"set local hnsw.ef_search = {breadth}"))
        found = [await nearest(connection, space, question, exact=False) for question in questions]
        hits = sum(as_near(got, true) for true, got in zip(truth, found, strict=True))
        by_breadth[breadth] = round(hits / max(1, sum(map(len, truth))), 4)
        if by_breadth[breadth] >= WANTED:
            break
    return Recall(space.dataset_id, int(count or 0), by_breadth)


def as_near(found: Sequence[float], true: Sequence[float]) -> int:
    """How many of the distances found are among the true nearest ones, or as near as the farthest of those."""
    return sum(distance <= true[-1] + TIE for distance in found[: len(true)]) if true else 0


async def nearest(connection: AsyncConnection, space: Space, question: tuple[UUID, Any], *, exact: bool) -> list[float]:
    """The distances of the ten nearest beside the question itself, in rising order."""
    cast = f"halfvec({space.dim})"
    order = f"v {space.operator} :v" if exact else f"v::{cast} {space.operator} cast(cast(:v as vector) as {cast})"
    rows = await connection.execute(
        text(
            f"select owner_id, v {space.operator} :v from embeddings where {HERE} order by {order}"
            f" limit {NEIGHBOURS + 1}"
        ),
        space.bound | {"v": question[1]},
    )
    return sorted(float(distance) for owner_id, distance in rows if owner_id != question[0])[:NEIGHBOURS]
