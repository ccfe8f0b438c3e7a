"""What holds of a live tree after any history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from services.arrays import IntArray
from services.clustering.grouping import Frontier
from services.maintenance.params import MaintenanceParams, Shape
from services.maintenance.tree import LiveTree, TreeLevel, owners, unseen, untold


def violations(tree: LiveTree, shape: Shape, params: MaintenanceParams) -> list[str]:
    """What is wrong with the tree, in words; empty for a lawful one.

    One root; every node in exactly one group by primary membership; no group of less than two where there are two, so
    that each level has at most half of the nodes below it; token budgets kept; no text that tells of a leaf that is
    not there; no text that has not seen more of the leaves under it than the lag allows, on the first level none.
    What waits for its text, and the leaves under it, are left out of the last.
    """
    if not tree.levels or len(tree.levels[-1]) != 1:
        return ["there is no root"]
    found: list[str] = []
    owner = owners(len(tree.leaves), tree.levels)
    below = tree.leaves
    for number, level in enumerate(tree.levels, start=1):
        found += _of_groups(number, level, below, shape)
        told_of = np.where(untold(tree.levels[:number], owner[: number + 1]), -1, owner[number])
        found += _of_texts(number, level, told_of, params.lag if number > 1 else 0.0)
        below = level.nodes
    return found


def _of_groups(number: int, level: TreeLevel, below: Frontier, shape: Shape) -> Iterator[str]:
    times = Counter(m for g in level.groups for m, p in zip(g.members, g.primary, strict=True) if p)
    yield from (f"level {number}: {below.keys[i]} is in {times[i]} groups" for i in range(len(below)) if times[i] != 1)
    if len(below) > 1 and len(level) * 2 > len(below):
        yield f"level {number}: {len(level)} groups over {len(below)} nodes"
    cost = np.minimum(np.asarray(below.tokens), shape.grouping.item_cap)
    for key, group in zip(level.nodes.keys, level.groups, strict=True):
        if len(set(group.members)) < len(group.members):
            yield f"level {number}: {key} has a member twice"
        if sum(group.primary) < min(2, len(below)):
            yield f"level {number}: {key} has {sum(group.primary)} members of its own"
        if cost[list(group.members)].sum() > shape.grouping.token_budget and not shape.under_one_root(number):
            yield f"level {number}: {key} is over the token budget"


def _of_texts(number: int, level: TreeLevel, owner: IntArray, lag: float) -> Iterator[str]:
    gone = [
        key
        for key, told in zip(level.nodes.keys, level.told, strict=True)
        if len(told) and (told[0] < 0 or told[-1] >= len(owner))
    ]
    if gone:
        yield from (f"level {number}: {key} tells of a leaf that is not there" for key in gone)
        return
    missed, under = unseen(level.told, owner)
    for i in np.flatnonzero(missed > lag * under).tolist():
        yield f"level {number}: {level.nodes.keys[i]} has not seen {missed[i]} of {under[i]} leaves"
