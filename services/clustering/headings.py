"""The documents' own structure first: groups of leaves follow sections, and clusters stand above them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import numpy as np

from services.arrays import IntArray
from services.clustering import umap_gmm
from services.clustering.canonical import Canonical, refuse_invalid_vectors
from services.clustering.grouping import Frontier, Grouping, GroupingParams
from services.clustering.windows import as_group, join_lone, stretches, windows
from services.compute import Compute


async def group(frontier: Frontier, params: GroupingParams, compute: Compute) -> Grouping:
    """Sections of up to twice `params.window` nodes stay whole; larger ones are cut at their subsections, then evenly.

    A section of a single node joins its neighbour under the same heading. A level without any heading, as all above
    the leaves are, is grouped by `umap_gmm`. Raises InvalidVector.
    """
    if not any(frontier.paths):
        return await umap_gmm.group(frontier, params, compute)
    await refuse_invalid_vectors(frontier, compute)
    started = perf_counter()
    level = Canonical.of(frontier, params)
    labels = [(frontier.order[p][0], *frontier.paths[p]) for p in level.positions.tolist()]
    groups = [as_group(window) for window in section_windows(np.argsort(level.reading), labels, level.cost, params)]
    return level.grouping(groups, seconds={"sections": perf_counter() - started})


def section_windows(
    along: IntArray, labels: Sequence[tuple[str, ...]], cost: IntArray, params: GroupingParams
) -> Iterator[IntArray]:
    """The groups: `along` are nodes in reading order, `labels` the heading paths of all nodes under their documents."""
    size, budget = 2 * params.window, params.token_budget

    def fits(section: IntArray) -> bool:
        return len(section) <= size and bool(cost[section].sum() <= budget)

    for section in sections(along, labels, 0, fits):
        yield from windows(section, cost, size, budget)


def sections(
    along: IntArray, labels: Sequence[tuple[str, ...]], depth: int, fits: Callable[[IntArray], bool]
) -> list[IntArray]:
    """Cuts a sequence at its headings from `depth` on, outermost first, until its parts fit or have none left.

    `labels` are the heading paths of the nodes under their documents. Text that stands directly under a heading, before
    its subsections, is a part of its own.
    """
    within = fits(along) and depth > 0  # never two documents in one section, however short
    if within or len(along) == 1 or all(len(labels[node]) <= depth for node in along):
        return [along]
    parts = stretches(along, [labels[node][depth : depth + 1] for node in along])
    return join_lone([section for part in parts for section in sections(part, labels, depth + 1, fits)])
