"""Windows of neighbours in reading order; in the paper's own ablation within a point of clustering (table 9)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from time import perf_counter

import numpy as np

from services.clustering.budget import halve
from services.clustering.canonical import Canonical, Members, refuse_invalid_vectors
from services.clustering.frontier import Compute, Frontier, Grouping, GroupingParams
from services.clustering.matrix import IntArray


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
    groups = [
        window_members(window)
        for run in _runs(along, documents)
        for window in windows(run, level.cost, params.window, params.token_budget)
    ]
    return level.grouping(groups, seconds={"windows": perf_counter() - started})


def windows(along: IntArray, cost: IntArray, size: int, budget: int) -> Iterator[IntArray]:
    """Cuts a sequence into windows of about equal length, at most `size` each, and further where over the budget.

    From a sequence of two or more, every window has at least two members.
    """
    count = min(-(-len(along) // size), max(1, len(along) // 2))
    for window in np.array_split(along, count):
        yield from _within_budget(window, cost, budget)


def window_members(window: IntArray) -> Members:
    return Members(np.sort(window), np.ones(len(window)), np.ones(len(window), bool))


def _within_budget(window: IntArray, cost: IntArray, budget: int) -> Iterator[IntArray]:
    if cost[window].sum() <= budget:
        yield window
        return
    for half in halve(window, cost, budget):
        yield from _within_budget(half, cost, budget)


def _runs(along: IntArray, documents: list[str]) -> list[IntArray]:
    """One run a document; neighbouring documents of a single node share one, and no run has a single node.

    A lone single node joins the run before it, or the one after it when it is the first.
    """
    runs: list[tuple[bool, list[int]]] = []
    by_document = groupby(zip(documents, along.tolist(), strict=True), key=lambda pair: pair[0])
    for _, nodes in by_document:
        run = [node for _, node in nodes]
        if len(run) == 1 and runs and runs[-1][0]:
            runs[-1][1].extend(run)
        else:
            runs.append((len(run) == 1, run))
    merged: list[list[int]] = []
    for _, run in runs:
        if merged and (len(run) == 1 or len(merged[-1]) == 1):
            merged[-1].extend(run)
        else:
            merged.append(list(run))
    return [np.array(run) for run in merged]
