"""Retrieval: question, query vector, candidates, scores, hits; each hit with its place in the originals and the tree.

Everything is read from one snapshot. Models are called before and after it, never inside. docs/retrieval.md says what
each part buys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.arrays import FloatArray
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.domain import Dataset, TenantId
from services.errors import ConcurrentChange, EmbeddingNotReady, EmbeddingSpaceConflict
from services.models.registry import Models
from services.retrieval.expand import expanded
from services.retrieval.hits import Hit, Scored
from services.retrieval.linked import linked
from services.retrieval.packing import best, packed
from services.retrieval.query import Query
from services.retrieval.question import read_question
from services.retrieval.rank import BUILTIN, rank
from services.retrieval.rerank import reranked
from services.retrieval.route import UsedMode, route
from services.retrieval.scope import Scope, scope_of
from services.retrieval.search_storage import SearchStorage
from services.retrieval.traverse import traverse
from services.retrieval.whole import Whole, digest_of, read_whole
from services.storage import OpenStorage
from services.text.extractive import NAME as EXTRACTIVE
from services.text.index_terms import index_terms
from services.tree.nodes import tree_name

# Ranked nodes whose texts are read for packing, quotas and reranking.
READ = 150
UNBOUNDED = 1 << 60


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`notes` tell of what could not be done as asked; `rarity` is the BM25 weight of the question's terms, where
    there was a budget to fill."""

    hits: Sequence[Hit]
    tree_id: str | None
    mode: UsedMode
    usage: Usage
    reason: str = ""
    notes: tuple[str, ...] = ()
    rarity: Mapping[str, float] = field(default_factory=dict)


class Retriever:
    def __init__(self, open_storage: OpenStorage[SearchStorage], models: Models, *, timeout_s: float = 30.0) -> None:
        self._open = open_storage
        self._models = models
        self._timeout_s = timeout_s

    async def retrieve(self, tenant: TenantId, query: Query) -> Retrieved:
        """Raises DatasetNotFound, EmbeddingNotReady, EmbeddingSpaceConflict, TreeNotFound, UnknownModel,
        MissingProviderKey, EmbeddingServiceUnavailable, DatabaseUnavailable."""
        before = await self._dataset(tenant, query)
        context = CallContext(tenant, before.dataset_id, keys=query.keys)
        reranker = self._models.reranker(query.reranker, context) if query.reranker else None
        asked = read_question(query.text)
        wanted = replace(query, text=asked.text)
        vector, usage = await self._query_vector(before, wanted if is_builtin(before) else query, context)
        async with self._open(tenant, snapshot=True) as work:
            await work.limit_time(self._timeout_s)
            dataset = await work.get_dataset(query.dataset_id)
            if dataset.space != before.space:
                raise ConcurrentChange("The dataset was moved to another embedding model just now: ask again.")
            own_words = await has_own_words(work, dataset)
            scope = await scope_of(work, dataset, wanted, asked, vector) if query.mode == "auto" else None
            name = scope.name if scope else None
            way = route(query.mode, name, levels=query.filters.level, own_words=own_words)
            found: Whole | Sequence[Hit]
            if way.mode == "digest":
                found = await read_whole(work, dataset, scope or Scope(query.filters), expand=query.expand)
            else:
                scored = await scored_nodes(work, dataset, wanted, vector, way.mode)
                found = await read_hits(work, dataset, wanted, scored)
            # Sentences are weighed by it, and only for a budget are sentences chosen.
            terms = sorted(set(index_terms(wanted.text))) if query.max_tokens is not None else []
            rarity = await work.rarity(dataset, terms) if terms else {}
        notes: tuple[str, ...] = ()
        if reranker is not None and not isinstance(found, Whole):
            found, spent, notes = await reranked(reranker, query.text, found)
            usage += spent
        # Packing and digests compare thousands of words: not on the loop that serves everybody else.
        hits = await asyncio.to_thread(returned, found, query, rarity, own_words=own_words)
        notes += too_small_for(found, hits, query)
        tree_id = tree_name(dataset.live_tree_id) if dataset.live_tree_id else None
        return Retrieved(hits, tree_id, way.mode, usage, way.reason, notes, rarity)

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


def is_builtin(dataset: Dataset) -> bool:
    """Whether vectors are of words, so that words of asking would be searched for."""
    return dataset.space.provider == BUILTIN


async def has_own_words(work: SearchStorage, dataset: Dataset) -> bool:
    """Whether the live tree's summaries say more than the passages' own sentences do."""
    tree = await work.live_tree(dataset.dataset_id) if dataset.live_tree_id is not None else None
    return tree is not None and tree.params.get("summary_llm") != EXTRACTIVE


async def scored_nodes(
    work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray, mode: UsedMode
) -> list[Scored]:
    """In the order in which they are to be read."""
    if mode == "tree_traversal":
        return await traverse(work, dataset, query, vector)
    return await rank(work, dataset, query, vector, mode)


async def read_hits(work: SearchStorage, dataset: Dataset, query: Query, scored: Sequence[Scored]) -> Sequence[Hit]:
    """Texts, paths to the root and evidence of as many nodes as the answer may need."""
    hits = await work.hits(dataset, scored[: nodes_to_read(query)], query.filters)
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


def too_small_for(found: Whole | Sequence[Hit], chosen: Sequence[Hit], query: Query) -> tuple[str, ...]:
    """Nothing that was found fits: that is not the same as finding nothing."""
    hits = [*found.above, *found.below, *found.nodes] if isinstance(found, Whole) else found
    if chosen or not hits or query.max_tokens is None:
        return ()
    least = min(hit.token_cnt for hit in hits)
    return (f"`max_tokens` {query.max_tokens} is too small for any hit: the shortest has {least} tokens.",)


def returned(found: Whole | Sequence[Hit], query: Query, rarity: Mapping[str, float], *, own_words: bool) -> list[Hit]:
    """Of a whole its summaries and a digest, of ranked hits as many as the budget holds, or the best `top_k`."""
    if isinstance(found, Whole):
        hits = digest_of(found, query.top_k, query.max_tokens, deep=own_words or query.max_tokens is None)
        return packed(hits, query.top_k, UNBOUNDED, order="source") if query.order == "source" else hits
    if query.max_tokens is None:
        hits = best(found, query.top_k, query.quotas)
        return packed(hits, query.top_k, UNBOUNDED, order="source") if query.order == "source" else hits
    return packed(found, query.top_k, query.max_tokens, query.quotas, query.order, rarity)
