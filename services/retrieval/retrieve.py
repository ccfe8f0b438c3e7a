"""Retrieval: what answers a query in a dataset, each hit with its place in the originals and in the tree.

One snapshot a request: candidates by likeness and by BM25, with both scores; one score of the two, shared with
neighbours; then texts. Models are asked before and after it, never inside. `services/retrieval` holds the arithmetic,
docs/retrieval.md what each part of it buys.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from services.arrays import FloatArray
from services.cost.budget import CallContext, Keys
from services.cost.usage import Usage
from services.domain import Dataset, TenantId
from services.errors import ConcurrentChange, EmbeddingNotReady, EmbeddingSpaceConflict, ProviderError, TreeNotFound
from services.models.registry import Models
from services.models.reranking import Reranker
from services.retrieval.digest import digest
from services.retrieval.fusion import Population, ranked
from services.retrieval.hits import Ancestor, Branch, Filters, Hit, Scored
from services.retrieval.packing import Order, best, packed
from services.retrieval.route import Mode, UsedMode, route
from services.storage import OpenStorage, UnitOfWork
from services.text.postings import index_terms
from services.tree.nodes import Tree, tree_name

logger = logging.getLogger(__name__)

# The share of likeness in a fused score. Built-in vectors are words again: they break ties and find misspellings.
DENSE_WEIGHT = 0.5
LEXICAL_DENSE_WEIGHT = 0.15
BUILTIN = "builtin"
EXTRACTIVE = "builtin/extractive"
# Candidates that each side brings, and those whose texts are read for packing and reranking.
CANDIDATES = 200
READ = 150
RERANKED = 50
# Nodes that a digest is chosen from, and its length where no budget is given.
OUTLINE = 512
DIGEST_TOKENS = 2_000
# Passages that `expand` shows under a summary.
EVIDENCE = 10


class SearchStorage(UnitOfWork, Protocol):
    """What retrieval asks of storage. It sees chunks of served versions, and those nodes of the live tree that no
    deleted text went into."""

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

    async def paths(self, dataset: Dataset, node_ids: Sequence[UUID]) -> Mapping[UUID, tuple[Ancestor, ...]]:
        """For each node that has a parent in the live tree, the way to the root."""
        ...

    async def outline(self, dataset: Dataset, filters: Filters, limit: int) -> list[UUID]:
        """What stands for the whole in at most `limit` nodes, in reading order: all passages where they are so few,
        else the lowest level of summaries that is small enough, else every so many passages."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """`boosts` are added to the scores of a level, in standard deviations; `quotas` bound the hits of a level.
    `threshold` is the least likeness that a traversal goes on with. `embed_model`, if given, has to be the dataset's.
    """

    dataset_id: str
    text: str
    mode: Mode = "auto"
    top_k: int = 10
    max_tokens: int | None = None
    filters: Filters = Filters()
    keys: Keys = field(default_factory=Keys)
    hybrid: bool = True
    reranker: str | None = None
    expand: bool = False
    order: Order = "score"
    boosts: Mapping[int, float] = field(default_factory=dict)
    quotas: Mapping[int, int] = field(default_factory=dict)
    threshold: float | None = None
    embed_model: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`notes` tell of what could not be done as asked."""

    hits: Sequence[Hit]
    tree_id: str | None
    mode: UsedMode
    usage: Usage
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a snapshot gave: hits in rank order, or the outline with its weights that a digest is chosen from."""

    hits: Sequence[Hit]
    weights: Sequence[float]
    dataset: Dataset
    mode: UsedMode
    reason: str


class Retriever:
    def __init__(self, open_storage: OpenStorage[SearchStorage], models: Models, *, timeout_s: float = 30.0) -> None:
        self._open = open_storage
        self._models = models
        self._timeout_s = timeout_s

    async def retrieve(self, tenant: TenantId, query: Query) -> Retrieved:
        """Raises DatasetNotFound, EmbeddingNotReady, EmbeddingSpaceConflict, TreeNotFound, UnknownModel,
        MissingProviderKey, EmbeddingServiceUnavailable, DatabaseUnavailable."""
        async with self._open(tenant) as work:
            dataset = await work.get_dataset(query.dataset_id)
            if not await work.has_embedded(query.dataset_id):
                raise EmbeddingNotReady(dataset_id=query.dataset_id)
        if query.embed_model is not None and query.embed_model != dataset.space.name:
            raise EmbeddingSpaceConflict(asked=query.embed_model, space=dataset.space.name)
        context = CallContext(tenant, dataset.dataset_id, keys=query.keys)
        reranker = self._models.reranker(query.reranker, context) if query.reranker else None
        answer = await self._models.embedder(dataset.space, context).embed([[query.text]], kind="query")
        if answer.vectors.shape[1] != dataset.space.dimensions:
            raise EmbeddingSpaceConflict(dimensions=answer.vectors.shape[1], space=dataset.space.name)
        async with self._open(tenant, snapshot=True) as work:
            await work.limit_time(self._timeout_s)
            current = await work.get_dataset(query.dataset_id)
            if current.space != dataset.space:
                raise ConcurrentChange("The dataset was moved to another embedding model just now: ask again.")
            found = await self._find(work, current, query, answer.vectors[0])
        hits, usage, notes = found.hits, answer.usage, tuple[str, ...]()
        if reranker is not None and found.mode != "digest":
            hits, spent, notes = await reranked(reranker, query.text, hits)
            usage += spent
        tree_id = tree_name(found.dataset.live_tree_id) if found.dataset.live_tree_id else None
        # Packing and digests compare thousands of words: not on the loop that serves everybody else.
        hits = await asyncio.to_thread(chosen, replace(found, hits=hits), query)
        return Retrieved(hits, tree_id, found.mode, usage, found.reason, notes)

    async def _find(self, work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray) -> Found:
        own_words = await self._summaries_have_own_words(work, dataset, query)
        way = route(query.mode, query.text, levels=query.filters.level, own_words=own_words)
        if way.mode == "tree_traversal":
            scored = await self._traverse(work, dataset, query, vector)
        elif way.mode == "digest":
            ids = await work.outline(dataset, query.filters, OUTLINE)
            scored = [Scored(node_id, 0, 0.0) for node_id in ids]
        else:
            scored = await self._rank(work, dataset, query, vector, way.mode)
        order = {one.node_id: rank for rank, one in enumerate(scored)}
        plain = query.max_tokens is None and query.reranker is None and not query.quotas
        read = scored if way.mode == "digest" else scored[: query.top_k if plain else max(READ, query.top_k)]
        hits = await work.hits(dataset, read, query.filters)
        paths = await work.paths(dataset, [hit.node_id for hit in hits])
        hits = [replace(hit, path=paths.get(hit.node_id, ())) for hit in hits]
        if query.expand:
            hits = await self._expanded(work, dataset, query, hits, order)
        return Found(hits, [1.0] * len(hits), dataset, way.mode, way.reason)

    @staticmethod
    async def _summaries_have_own_words(work: SearchStorage, dataset: Dataset, query: Query) -> bool:
        if query.mode != "auto" or dataset.live_tree_id is None:
            return False
        tree = await work.live_tree(dataset.dataset_id)
        return tree is not None and tree.params.get("summary_llm") != EXTRACTIVE

    async def _rank(
        self, work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray, mode: UsedMode
    ) -> list[Scored]:
        """Passages, and for `collapsed` summaries too; each kind in deviations from its own mean, so that they can
        stand in one list."""
        wanted = query.filters.level
        limit = max(CANDIDATES, query.top_k)
        if not query.hybrid:
            levels = wanted if mode == "collapsed" else (0,)
            if mode == "leaves" and wanted and 0 not in wanted:
                return []
            plain = await work.nearest(dataset, vector, limit, replace(query.filters, level=levels))
            return boosted(plain, query.boosts)
        terms = sorted(set(index_terms(query.text)))
        weight = LEXICAL_DENSE_WEIGHT if dataset.space.provider == BUILTIN else DENSE_WEIGHT
        scored: list[Scored] = []
        if not wanted or 0 in wanted:
            filters = replace(query.filters, level=(0,))
            near = [one.node_id for one in await work.nearest(dataset, vector, limit, filters)]
            passages = await work.passages(dataset, vector, terms, near, limit, filters)
            scored += ranked(passages, weight, smooth=True)
        above = tuple(level for level in wanted or range(1, 65) if level > 0)
        if mode == "collapsed" and above and dataset.live_tree_id is not None:
            filters = replace(query.filters, level=above)
            near = [one.node_id for one in await work.nearest(dataset, vector, limit, filters)]
            summaries = await work.summaries(dataset, vector, terms, near, limit, filters)
            scored += ranked(summaries, weight, smooth=False)
        return boosted(sorted(scored, key=lambda one: (-one.score, one.node_id)), query.boosts)

    async def _traverse(self, work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray) -> list[Scored]:
        """From the root down, the best children of what was chosen a level above (RAPTOR, section 3), in that order:
        what a passage is part of stands before it. `top_k` is shared out among the levels that are wanted; what a
        level does not fill is left to those below it."""
        if dataset.live_tree_id is None:
            raise TreeNotFound(dataset_id=dataset.dataset_id)
        wanted = query.filters.level
        chosen: list[Scored] = []
        frontier = await work.children(dataset, vector, None, 1, query.filters)
        while frontier:
            chosen += [one.node for one in frontier if one.whole and (not wanted or one.node.level in wanted)]
            parents = [one.node.node_id for one in frontier if one.node.level > 0]
            below = [level for level in range(frontier[0].node.level) if not wanted or level in wanted]
            if not parents or not below or len(chosen) >= query.top_k:
                break
            width = -(-(query.top_k - len(chosen)) // len(below))
            frontier = await work.children(dataset, vector, parents, width, query.filters)
            if query.threshold is not None:
                frontier = [one for one in frontier if one.node.score >= query.threshold]
        return chosen

    @staticmethod
    async def _expanded(
        work: SearchStorage, dataset: Dataset, query: Query, hits: Sequence[Hit], order: Mapping[UUID, int]
    ) -> list[Hit]:
        """With the passages under each summary that rank best for the query, in the order of the source."""
        under: dict[UUID, list[Scored]] = {}
        for hit in hits:
            if hit.kind != "leaf":
                first = sorted(range(len(hit.chunk_ids)), key=lambda at: (order.get(hit.chunk_ids[at], math.inf), at))[
                    :EVIDENCE
                ]
                under[hit.node_id] = [Scored(hit.chunk_ids[at], 0, 0.0) for at in sorted(first)]
        wanted = {one.node_id: one for evidence in under.values() for one in evidence}
        passages = await work.hits(dataset, list(wanted.values()), replace(query.filters, level=()))
        by_id = {passage.node_id: passage for passage in passages}
        return [
            replace(
                hit,
                evidence=tuple(by_id[one.node_id] for one in under.get(hit.node_id, ()) if one.node_id in by_id),
            )
            for hit in hits
        ]


def boosted(scored: Sequence[Scored], boosts: Mapping[int, float]) -> list[Scored]:
    if not boosts:
        return list(scored)
    raised = [replace(one, score=one.score + boosts.get(one.level, 0.0)) for one in scored]
    return sorted(raised, key=lambda one: (-one.score, one.node_id))


def chosen(found: Found, query: Query) -> list[Hit]:
    """What is answered of what was found: a digest, a packed budget, or simply the best."""
    if found.mode == "digest":
        budget = DIGEST_TOKENS if query.max_tokens is None else query.max_tokens
        hits = digest(found.hits, found.weights, query.top_k, budget)
        return packed(hits, query.top_k, budget, order="source") if query.order == "source" else hits
    if query.max_tokens is None:
        hits = best(found.hits, query.top_k, query.quotas)
        return packed(hits, query.top_k, 1 << 60, order="source") if query.order == "source" else hits
    return packed(found.hits, query.top_k, query.max_tokens, query.quotas, query.order)


async def reranked(reranker: Reranker, text: str, hits: Sequence[Hit]) -> tuple[Sequence[Hit], Usage, tuple[str, ...]]:
    """The first hits in the reranker's order. Where it fails, as they were, and a note that says so."""
    first = hits[:RERANKED]
    if not first:
        return hits, Usage(), ()
    try:
        answer = await reranker.rerank(text, [hit.text for hit in first])
    except ProviderError as error:
        logger.warning("reranker failed", extra={"reranker": reranker.name, "error": error.as_json()})
        note = f"The reranker {reranker.name} did not answer ({error.code}); the order is that of the search."
        return hits, Usage(), (note,)
    best_first = sorted(range(len(first)), key=lambda at: (-answer.scores[at], at))
    return [replace(first[at], score=answer.scores[at]) for at in best_first], answer.usage, ()
