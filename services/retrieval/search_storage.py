"""What retrieval asks of storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.fusion import Population
from services.retrieval.hits import Ancestor, Branch, Filters, Hit, Scored
from services.retrieval.linked import DocumentLinks
from services.storage import UnitOfWork
from services.tree.nodes import Tree


class SearchStorage(UnitOfWork, Protocol):
    """It sees chunks of served versions, and those nodes of the live tree that no deleted text went into."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def limit_time(self, seconds: float) -> None: ...

    async def has_embedded(self, dataset_id: str) -> bool: ...

    async def nearest(self, dataset: Dataset, query: FloatArray, limit: int, filters: Filters) -> list[Scored]:
        """Nodes of all levels by likeness to the query vector, best first."""
        ...

    async def passages(
        self,
        dataset: Dataset,
        query: FloatArray,
        terms: Sequence[str],
        nearest: Sequence[UUID],
        limit: int,
        filters: Filters,
    ) -> Population:
        """The passages `nearest`, the `limit` best by BM25 for the terms, and the neighbours of all of these in their
        documents; each with both scores."""
        ...

    async def summaries(
        self,
        dataset: Dataset,
        query: FloatArray,
        terms: Sequence[str],
        nearest: Sequence[UUID],
        limit: int,
        filters: Filters,
    ) -> Population:
        """The same of the live tree's summaries, which have no neighbours."""
        ...

    async def rarity(self, dataset: Dataset, terms: Sequence[str]) -> Mapping[str, float]:
        """The BM25 weight (idf) of those terms that passages of the dataset have."""
        ...

    async def children(
        self, dataset: Dataset, query: FloatArray, parents: Sequence[UUID] | None, limit: int, filters: Filters
    ) -> list[Branch]:
        """The children of `parents`, or the root, by likeness, best first; those with no leaf that the filters let
        through are left out."""
        ...

    async def hits(self, dataset: Dataset, scored: Sequence[Scored], filters: Filters) -> list[Hit]:
        """What was found, with text and place, in the order given; nodes that the filters do not let through are
        left out."""
        ...

    async def links(self, dataset: Dataset, doc_ids: Sequence[str]) -> Mapping[str, DocumentLinks]:
        """For each document what it links to in the dataset, and what links to it."""
        ...

    async def paths(self, dataset: Dataset, node_ids: Sequence[UUID]) -> Mapping[UUID, tuple[Ancestor, ...]]:
        """For each node that has a parent in the live tree, the way to the root."""
        ...

    async def outline(self, dataset: Dataset, filters: Filters, limit: int) -> list[UUID]:
        """What stands for the whole in at most `limit` nodes, in reading order: all passages where they are so few,
        else the lowest level of summaries that is small enough, else every so many passages."""
        ...

    async def tags(self, dataset: Dataset) -> list[str]:
        """Those that documents of the dataset have."""
        ...
