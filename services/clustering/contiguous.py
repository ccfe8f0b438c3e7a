"""Windows of neighbours in reading order; in the paper's own ablation within a point of clustering (table 9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np

from services.arrays import IntArray
from services.clustering.canonical import Canonical, refuse_invalid_vectors
from services.clustering.grouping import Frontier, Grouping, GroupingParams
from services.clustering.windows import as_group, join_lone, stretches, windows
from services.compute import Compute


def document_windows(
    along: IntArray, documents: Sequence[str], cost: IntArray, params: GroupingParams
) -> Iterator[IntArray]:
    """The groups: `along` are nodes in reading order, `documents` those that they belong to."""
    for document in join_lone(stretches(along, documents)):
        yield from windows(document, cost, params.window, params.token_budget)


async def group(frontier: Frontier, params: GroupingParams, compute: Compute) -> Grouping:
    """Windows of up to `params.window` nodes of one document.

    A document with a single node shares a window with its neighbours, since no group has fewer than two members.
    Raises InvalidVector, as every grouper does: the vectors are what the level is searched by later.
    """
    await refuse_invalid_vectors(frontier, compute)
    started = perf_counter()
    level = Canonical.of(frontier, params)
    along = np.argsort(level.reading)
    documents = [frontier.order[position][0] for position in level.positions[along]]
    groups = [as_group(window) for window in document_windows(along, documents, level.cost, params)]
    return level.grouping(groups, seconds={"windows": perf_counter() - started})
