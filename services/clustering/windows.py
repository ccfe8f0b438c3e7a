"""Stretches of nodes in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from services.arrays import IntArray
from services.clustering.budget import halve
from services.clustering.canonical import Members


def stretches(along: IntArray, labels: Sequence[object]) -> list[IntArray]:
    """The sequence cut where the label changes."""
    by_label = groupby(zip(labels, along.tolist(), strict=True), key=lambda pair: pair[0])
    return [np.array([node for _, node in nodes]) for _, nodes in by_label]


def join_lone(sequences: Sequence[IntArray]) -> list[IntArray]:
    """The same sequences in order, none of a single node where there are more.

    Neighbours of a single node each become one; a single node between longer ones joins the one before it, at the
    start the one after it.
    """
    joined: list[list[int]] = []
    after_lone = False
    for sequence in sequences:
        lone = len(sequence) == 1
        if lone and after_lone:
            joined[-1].extend(sequence.tolist())
        else:
            joined.append(sequence.tolist())
        after_lone = lone
    for i in range(len(joined) - 1, 0, -1):
        if len(joined[i]) == 1:
            joined[i - 1].extend(joined.pop(i))
    if len(joined) > 1 and len(joined[0]) == 1:
        joined[1].insert(0, joined.pop(0)[0])
    return [np.array(sequence) for sequence in joined]


def windows(along: IntArray, cost: IntArray, size: int, budget: int) -> Iterator[IntArray]:
    """Cuts a sequence into windows of about equal length, `size` at most, and further where they are over the budget.

    From two or more nodes, every window has at least two members; for that, one of three may stand where `size` is 2.
    """
    count = min(-(-len(along) // size), max(1, len(along) // 2))
    for window in np.array_split(along, count):
        yield from _within_budget(window, cost, budget)


def as_group(window: IntArray) -> Members:
    return Members(np.sort(window), np.ones(len(window)), np.ones(len(window), bool))


def _within_budget(window: IntArray, cost: IntArray, budget: int) -> Iterator[IntArray]:
    if cost[window].sum() <= budget:
        yield window
        return
    for half in halve(window, cost, budget):
        yield from _within_budget(half, cost, budget)
