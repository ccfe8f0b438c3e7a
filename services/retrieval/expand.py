"""Summaries with the passages under them that answer best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from uuid import UUID

from services.domain import Dataset
from services.retrieval.hits import Filters, Hit, Scored
from services.retrieval.search_storage import SearchStorage

# Passages that are shown under a summary.
EVIDENCE = 10


async def expanded(
    work: SearchStorage, dataset: Dataset, filters: Filters, hits: Sequence[Hit], ranks: Mapping[UUID, int]
) -> list[Hit]:
    """The hits, each summary with its evidence. `ranks` are places in the ranking, 0 the best."""
    under = {hit.node_id: best_under(hit, ranks) for hit in hits if hit.kind != "leaf"}
    wanted = dict.fromkeys(chain.from_iterable(under.values()))
    passages = await work.hits(dataset, [Scored(chunk_id, 0, 0.0) for chunk_id in wanted], replace(filters, level=()))
    by_id = {passage.node_id: passage for passage in passages}
    return [
        replace(hit, evidence=tuple(by_id[chunk_id] for chunk_id in under.get(hit.node_id, ()) if chunk_id in by_id))
        for hit in hits
    ]


def best_under(summary: Hit, ranks: Mapping[UUID, int]) -> list[UUID]:
    """The passages under it that rank best for the query, in the order of the source."""
    places = range(len(summary.chunk_ids))
    best = sorted(places, key=lambda at: (ranks.get(summary.chunk_ids[at], math.inf), at))[:EVIDENCE]
    return [summary.chunk_ids[at] for at in sorted(best)]
