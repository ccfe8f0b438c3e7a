"""Retrieval: the nodes of a dataset's live tree that answer a query, each with its place in the originals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.cost import Errand, Keys
from services.domain import Dataset, Filters, Hit, Scored, TenantId, Usage, tree_name
from services.errors import EmbeddingNotReady, TreeNotFound
from services.ports import FloatArray, Models
from services.store import OpenUnitOfWork, UnitOfWork

Mode = Literal["collapsed", "tree_traversal", "leaves"]


@dataclass(frozen=True, slots=True)
class Query:
    dataset_id: str
    text: str
    mode: Mode = "collapsed"
    top_k: int = 10
    max_tokens: int | None = None
    filters: Filters = Filters()
    keys: Keys = field(default_factory=Keys)


@dataclass(frozen=True, slots=True)
class Retrieved:
    hits: Sequence[Hit]
    tree_id: str | None
    mode: Mode
    usage: Usage


class Retriever:
    def __init__(self, open_unit_of_work: OpenUnitOfWork, models: Models) -> None:
        self._open = open_unit_of_work
        self._models = models

    async def retrieve(self, tenant: TenantId, query: Query) -> Retrieved:
        """Raises DatasetNotFound, EmbeddingNotReady, TreeNotFound, EmbeddingServiceUnavailable."""
        async with self._open(tenant) as work:
            dataset = await work.datasets.get(query.dataset_id)
            if not await work.search.embedded(query.dataset_id):
                raise EmbeddingNotReady(dataset_id=query.dataset_id)
        errand = Errand(tenant, dataset.dataset_id, keys=query.keys)
        answer = await self._models.embedder(dataset.space, errand).embed([[query.text]], kind="query")
        # One snapshot: the tree that is live at the first statement is there until the last.
        async with self._open(tenant, snapshot=True) as work:
            dataset = await work.datasets.get(query.dataset_id)
            scored = await self._search(work, dataset, query, answer.vectors[0])
            hits = await work.search.hits(dataset, scored, query.filters)
        tree_id = tree_name(dataset.live_tree_id) if dataset.live_tree_id else None
        return Retrieved(within(hits, query.top_k, query.max_tokens), tree_id, query.mode, answer.usage)

    async def _search(self, work: UnitOfWork, dataset: Dataset, query: Query, vector: FloatArray) -> list[Scored]:
        if query.mode == "tree_traversal":
            return await self._traverse(work, dataset, query, vector)
        filters = query.filters
        if query.mode == "leaves":
            filters = Filters(filters.doc_id, filters.source, filters.tags, (0,), filters.meta)
        return await work.search.nearest(dataset, vector, query.top_k, filters)

    async def _traverse(self, work: UnitOfWork, dataset: Dataset, query: Query, vector: FloatArray) -> list[Scored]:
        """From the root down, the best children of what was chosen a level above (RAPTOR, section 3), in that order:
        what a passage is part of stands before it. `top_k` is shared out among the levels."""
        root = await work.search.root(dataset, vector)
        if root is None:
            raise TreeNotFound(dataset_id=dataset.dataset_id)
        width = max(1, -(-(query.top_k - 1) // root.level))
        chosen = frontier = [root]
        while frontier := await work.search.children(
            dataset, vector, [one.node_id for one in frontier if one.level > 0], width, query.filters
        ):
            chosen = chosen + frontier
        if query.filters.level:
            chosen = [one for one in chosen if one.level in query.filters.level]
        return chosen


def within(hits: Sequence[Hit], top_k: int, max_tokens: int | None) -> list[Hit]:
    """The best hits that fit: at most `top_k`, and together never more than `max_tokens`."""
    taken: list[Hit] = []
    left = max_tokens if max_tokens is not None else sum(hit.token_cnt for hit in hits)
    for hit in hits:
        if len(taken) < top_k and hit.token_cnt <= left:
            taken.append(hit)
            left -= hit.token_cnt
    return taken
