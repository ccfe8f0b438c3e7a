"""The nodes that may answer a query, scored and ranked: by likeness and BM25 together, or by likeness alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.arrays import FloatArray
from services.domain import Dataset
from services.retrieval.fusion import ranked
from services.retrieval.hits import Filters, Scored
from services.retrieval.query import Query
from services.retrieval.route import UsedMode
from services.retrieval.search_storage import SearchStorage
from services.text.index_terms import index_terms

# The share of likeness in a fused score. Built-in vectors are words again: they break ties and find misspellings.
DENSE_WEIGHT = 0.5
LEXICAL_DENSE_WEIGHT = 0.15
BUILTIN = "builtin"
# Candidates that each of the two scores brings.
CANDIDATES = 200
# The API knows no higher level.
SUMMARY_LEVELS = range(1, 65)


async def rank(work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray, mode: UsedMode) -> list[Scored]:
    """Passages, and in mode `collapsed` summaries too, best first."""
    if query.hybrid:
        scored = await by_likeness_and_words(work, dataset, query, vector, mode)
    else:
        scored = await by_likeness(work, dataset, query, vector, mode)
    return boosted(scored, query.boosts)


async def by_likeness_and_words(
    work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray, mode: UsedMode
) -> list[Scored]:
    """Each kind in deviations from its own mean, so that passages and summaries can stand in one list."""
    terms = sorted(set(index_terms(query.text)))
    weight = LEXICAL_DENSE_WEIGHT if dataset.space.provider == BUILTIN else DENSE_WEIGHT
    limit = max(CANDIDATES, query.top_k)
    scored: list[Scored] = []
    if wants_passages(query.filters):
        filters = replace(query.filters, level=(0,))
        nearest = [node.node_id for node in await work.nearest(dataset, vector, limit, filters)]
        passages = await work.passages(dataset, vector, terms, nearest, limit, filters)
        scored += ranked(passages, weight, smooth=True)
    levels = summary_levels(query.filters, mode)
    if levels and dataset.live_tree_id is not None:
        filters = replace(query.filters, level=levels)
        nearest = [node.node_id for node in await work.nearest(dataset, vector, limit, filters)]
        summaries = await work.summaries(dataset, vector, terms, nearest, limit, filters)
        scored += ranked(summaries, weight, smooth=False)
    return best_first(scored)


async def by_likeness(
    work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray, mode: UsedMode
) -> list[Scored]:
    if mode == "collapsed":
        filters = query.filters
    elif wants_passages(query.filters):
        filters = replace(query.filters, level=(0,))
    else:
        return []
    return await work.nearest(dataset, vector, max(CANDIDATES, query.top_k), filters)


def wants_passages(filters: Filters) -> bool:
    return not filters.level or 0 in filters.level


def summary_levels(filters: Filters, mode: UsedMode) -> tuple[int, ...]:
    """The levels of summaries that are wanted; none where passages alone are asked for."""
    if mode != "collapsed":
        return ()
    return tuple(level for level in filters.level or SUMMARY_LEVELS if level > 0)


def boosted(scored: Sequence[Scored], boosts: Mapping[int, float]) -> list[Scored]:
    if not boosts:
        return list(scored)
    return best_first([replace(node, score=node.score + boosts.get(node.level, 0.0)) for node in scored])


def best_first(scored: Sequence[Scored]) -> list[Scored]:
    return sorted(scored, key=lambda node: (-node.score, node.node_id))
