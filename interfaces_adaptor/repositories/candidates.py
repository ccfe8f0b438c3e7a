"""Candidates for an answer with both their scores: BM25 over the postings, and likeness to the query's vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.statements import filter_values, statement
from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.fusion import REACH, Candidate, Moments, Population
from services.retrieval.hits import Filters

PASSAGES, SUMMARIES, LIKENESS_SAMPLE = statement("passages"), statement("summaries"), statement("likeness_sample")
RARITY = statement("rarity")

# Vectors that mean and deviation of likeness are estimated from: a deviation to 1/sqrt(2 x 256), 4.4 %.
SAMPLE = 256


class Candidates(UnitOfWork):
    async def passages(
        self,
        dataset: Dataset,
        query: FloatArray,
        terms: Sequence[str],
        nearest: Sequence[UUID],
        limit: int,
        filters: Filters,
    ) -> Population:
        rows = await self.all(
            PASSAGES,
            dataset=dataset.dataset_id,
            model=dataset.space.name,
            query=query,
            terms=list(terms),
            nearest=list(nearest),
            reach=REACH,
            limit=limit,
            **filter_values(filters),
        )
        return population(rows, await self._likeness(dataset, query, "chunk"))

    async def summaries(
        self,
        dataset: Dataset,
        query: FloatArray,
        terms: Sequence[str],
        nearest: Sequence[UUID],
        limit: int,
        filters: Filters,
    ) -> Population:
        rows = await self.all(
            SUMMARIES,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            model=dataset.space.name,
            query=query,
            terms=list(terms),
            nearest=list(nearest),
            levels=list(filters.level) or None,
            limit=limit,
            **filter_values(filters),
        )
        return population(rows, await self._likeness(dataset, query, "tree_node"))

    async def rarity(self, dataset: Dataset, terms: Sequence[str]) -> Mapping[str, float]:
        rows = await self.all(RARITY, dataset=dataset.dataset_id, terms=list(terms))
        return {row["term"]: float(row["weight"]) for row in rows}

    async def _likeness(self, dataset: Dataset, query: FloatArray, owner_type: str) -> Moments:
        row = await self.first(
            LIKENESS_SAMPLE,
            dataset=dataset.dataset_id,
            tree=dataset.live_tree_id,
            model=dataset.space.name,
            owner_type=owner_type,
            query=query,
            limit=SAMPLE,
        )
        assert row is not None
        return Moments(float(row["mean"]), float(row["deviation"]))


def population(rows: Sequence[RowMapping], similarity: Moments) -> Population:
    if not rows:
        return Population((), similarity, Moments(0.0, 0.0))
    nodes = max(float(rows[0]["nodes"]), 1.0)
    mean = float(rows[0]["total"]) / nodes
    variance = max(float(rows[0]["squares"]) / nodes - mean * mean, 0.0)
    candidates = [
        Candidate(
            node_id=row["node_id"],
            level=row["level"],
            generation_id=row["generation_id"],
            place=row["place"],
            similarity=float(row["similarity"]),
            lexical=float(row["lexical"]),
            token_cnt=row["token_cnt"],
            start=row["start_char"],
            end=row["end_char"],
            found=row["found"],
        )
        for row in rows
    ]
    return Population(candidates, similarity, Moments(mean, variance**0.5))
