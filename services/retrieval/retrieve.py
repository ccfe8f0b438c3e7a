"""Retrieval: question, query vector, candidates, scores, hits; each hit with its place in the originals and the tree.

Everything is read from one snapshot. Models are called before and after it, never inside. docs/retrieval.md says what
each part buys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.arrays import FloatArray
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.domain import Dataset, TenantId
from services.errors import ConcurrentChange, EmbeddingNotReady, EmbeddingSpaceConflict
from services.models.registry import Models
from services.retrieval.digest import digest
from services.retrieval.expand import expanded
from services.retrieval.hits import Hit, Scored
from services.retrieval.linked import linked
from services.retrieval.packing import best, packed
from services.retrieval.query import Query
from services.retrieval.rank import rank
from services.retrieval.rerank import reranked
from services.retrieval.route import Route, UsedMode, route
from services.retrieval.search_storage import SearchStorage
from services.retrieval.traverse import traverse
from services.storage import OpenStorage
from services.text.extractive import NAME as EXTRACTIVE
from services.tree.nodes import tree_name

# Ranked nodes whose texts are read for packing, quotas and reranking.
READ = 150
# Nodes that the sentences of a digest are taken from, and its length where no budget is given.
OUTLINE = 512
DIGEST_TOKENS = 2_000
UNBOUNDED = 1 << 60


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`notes` tell of what could not be done as asked."""

    hits: Sequence[Hit]
    tree_id: str | None
    mode: UsedMode
    usage: Usage
    reason: str = ""
    notes: tuple[str, ...] = ()


class Retriever:
    def __init__(self, open_storage: OpenStorage[SearchStorage], models: Models, *, timeout_s: float = 30.0) -> None:
        self._open = open_storage
        self._models = models
        self._timeout_s = timeout_s

    async def retrieve(self, tenant: TenantId, query: Query) -> Retrieved:
        """Raises DatasetNotFound, EmbeddingNotReady, EmbeddingSpaceConflict, TreeNotFound, UnknownModel,
        MissingProviderKey, EmbeddingServiceUnavailable, DatabaseUnavailable."""
        asked = await self._dataset(tenant, query)
        context = CallContext(tenant, asked.dataset_id, keys=query.keys)
        reranker = self._models.reranker(query.reranker, context) if query.reranker else None
        vector, usage = await self._query_vector(asked, query, context)
        async with self._open(tenant, snapshot=True) as work:
            await work.limit_time(self._timeout_s)
            dataset = await work.get_dataset(query.dataset_id)
            if dataset.space != asked.space:
                raise ConcurrentChange("The dataset was moved to another embedding model just now: ask again.")
            way = await route_of(work, dataset, query)
            scored = await scored_nodes(work, dataset, query, vector, way.mode)
            hits = await read_hits(work, dataset, query, scored, way.mode)
        notes: tuple[str, ...] = ()
        if reranker is not None and way.mode != "digest":
            hits, spent, notes = await reranked(reranker, query.text, hits)
            usage += spent
        # Packing and digests compare thousands of words: not on the loop that serves everybody else.
        hits = await asyncio.to_thread(returned, hits, query, way.mode)
        tree_id = tree_name(dataset.live_tree_id) if dataset.live_tree_id else None
        return Retrieved(hits, tree_id, way.mode, usage, way.reason, notes)

    async def _dataset(self, tenant: TenantId, query: Query) -> Dataset:
        async with self._open(tenant) as work:
            dataset = await work.get_dataset(query.dataset_id)
            if not await work.has_embedded(query.dataset_id):
                raise EmbeddingNotReady(dataset_id=query.dataset_id)
        if query.embed_model is not None and query.embed_model != dataset.space.name:
            raise EmbeddingSpaceConflict(asked=query.embed_model, space=dataset.space.name)
        return dataset

    async def _query_vector(self, dataset: Dataset, query: Query, context: CallContext) -> tuple[FloatArray, Usage]:
        embedded = await self._models.embedder(dataset.space, context).embed([[query.text]], kind="query")
        if embedded.vectors.shape[1] != dataset.space.dimensions:
            raise EmbeddingSpaceConflict(dimensions=embedded.vectors.shape[1], space=dataset.space.name)
        return embedded.vectors[0], embedded.usage


async def route_of(work: SearchStorage, dataset: Dataset, query: Query) -> Route:
    own_words = False
    if query.mode == "auto" and dataset.live_tree_id is not None:
        tree = await work.live_tree(dataset.dataset_id)
        own_words = tree is not None and tree.params.get("summary_llm") != EXTRACTIVE
    return route(query.mode, query.text, levels=query.filters.level, own_words=own_words)


async def scored_nodes(
    work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray, mode: UsedMode
) -> list[Scored]:
    """In the order in which they are to be read; those of an outline have no score."""
    if mode == "tree_traversal":
        return await traverse(work, dataset, query, vector)
    if mode == "digest":
        return [Scored(node_id, 0, 0.0) for node_id in await work.outline(dataset, query.filters, OUTLINE)]
    return await rank(work, dataset, query, vector, mode)


async def read_hits(
    work: SearchStorage, dataset: Dataset, query: Query, scored: Sequence[Scored], mode: UsedMode
) -> Sequence[Hit]:
    """Texts, paths to the root and evidence of as many nodes as the answer may need."""
    hits = await work.hits(dataset, scored if mode == "digest" else scored[: nodes_to_read(query)], query.filters)
    paths = await work.paths(dataset, [hit.node_id for hit in hits])
    hits = [replace(hit, path=paths.get(hit.node_id, ())) for hit in hits]
    hits = linked(hits, await work.links(dataset, sorted({hit.doc_id for hit in hits if hit.doc_id is not None})))
    if query.expand:
        ranks = {node.node_id: place for place, node in enumerate(scored)}
        hits = await expanded(work, dataset, query.filters, hits, ranks)
    return hits


def nodes_to_read(query: Query) -> int:
    """More than are returned where a budget, a reranker or quotas may leave some out."""
    if query.max_tokens is None and query.reranker is None and not query.quotas:
        return query.top_k
    return max(READ, query.top_k)


def returned(hits: Sequence[Hit], query: Query, mode: UsedMode) -> list[Hit]:
    """A digest of the hits, as many as the budget holds, or the best `top_k`."""
    if mode == "digest":
        budget = DIGEST_TOKENS if query.max_tokens is None else query.max_tokens
        hits = digest(hits, query.top_k, budget)
        return packed(hits, query.top_k, budget, order="source") if query.order == "source" else hits
    if query.max_tokens is None:
        hits = best(hits, query.top_k, query.quotas)
        return packed(hits, query.top_k, UNBOUNDED, order="source") if query.order == "source" else hits
    return packed(hits, query.top_k, query.max_tokens, query.quotas, query.order)
