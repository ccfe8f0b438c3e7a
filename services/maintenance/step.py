"""Where a maintenance stands between two levels, and what one level's plan says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from services.arrays import FloatArray, IntArray
from services.clustering.grouping import Frontier, Group, InvalidGrouping
from services.clustering.matrix import Matrix
from services.maintenance.draft import Below
from services.maintenance.params import MaintenanceParams, Shape
from services.maintenance.tree import LiveTree, TreeLevel, owners, unit_row, untold

Reason = Literal["new", "removed", "waiting", "behind", "regrouped"]
"""Why a text is written: its group is new; it tells of a removed leaf; it could not be written last time; it has not
seen too many of the leaves under it; its members changed while it or a neighbour was written anyway."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """`levels` are finished, the lowest first. `carried` has for each leaf of before its place among the leaves of
    now, -1 for one that is removed."""

    before: LiveTree
    leaves: Frontier
    shape: Shape
    params: MaintenanceParams
    carried: IntArray
    levels: tuple[TreeLevel, ...] = ()

    @property
    def number(self) -> int:
        """Of the level that is to be planned, 1 for the first above the leaves."""
        return len(self.levels) + 1

    @property
    def finished(self) -> bool:
        return bool(self.levels) and len(self.levels[-1]) == 1

    @property
    def old(self) -> TreeLevel | None:
        """The level as it was before, where the tree was so high."""
        return self.before.levels[self.number - 1] if self.number <= len(self.before.levels) else None

    def below(self) -> Below:
        nodes = self.levels[-1].nodes if self.levels else self.leaves
        owner = owners(len(self.leaves), self.levels)
        return Below(nodes, owner[-1], untold(self.levels, owner), self.shape.grouping.item_cap)


@dataclass(frozen=True, slots=True, eq=False)
class LevelPlan:
    """The groups of one level of the next generation, in reading order; position i of every field tells of group i.

    Only the texts of `write` (positions) are written, each for its one of `reasons`. The groups of `relinked` keep
    their text and have other members than before; whatever is in neither is as it was, row by row. `gone` are the keys
    of the groups that are no more. `told` are the leaves that each text will have been written from.
    """

    number: int
    keys: tuple[str, ...]
    groups: tuple[Group, ...]
    told: tuple[IntArray, ...]
    born: tuple[int, ...]
    write: tuple[int, ...]
    reasons: tuple[Reason, ...]
    relinked: tuple[int, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """The texts that a plan asked for, in its order: vectors (m, d) and tokens (m,).

    Those at the places `waiting` could not be written, and their rows mean nothing: the group is there without a text,
    with the direction of its members' mean for a vector, and the next plan asks for the text again.
    """

    vectors: FloatArray
    tokens: IntArray
    waiting: frozenset[int] = frozenset()


def begin(before: LiveTree, leaves: Frontier, shape: Shape, params: MaintenanceParams) -> Step:
    """`leaves` are all leaves of the next generation: what has the key of a leaf of before is that leaf, wherever it
    stands now. Raises InvalidGrouping."""
    if before.leaves.vectors.shape[1] != leaves.vectors.shape[1]:
        raise InvalidGrouping("the vectors of the new leaves are of another length than those of the tree")
    place = {key: i for i, key in enumerate(leaves.keys)}
    carried = np.array([place.get(key, -1) for key in before.leaves.keys], np.int64)
    return Step(before, leaves, shape, params, carried)


def advance(step: Step, plan: LevelPlan, written: Written) -> Step:
    """The step to the level above the planned one. Raises InvalidGrouping unless every text that was asked for came."""
    if not len(plan.write) == len(written.vectors) == len(written.tokens):
        raise InvalidGrouping(f"{len(plan.write)} texts were to be written, {len(written.vectors)} came")
    below = step.levels[-1].nodes if step.levels else step.leaves
    count, dimensions = len(plan.keys), step.leaves.vectors.shape[1]
    vectors, tokens = np.empty((count, dimensions), np.float32), np.empty(count, np.int64)
    kept = np.setdiff1d(np.arange(count), plan.write)
    if step.old is not None and len(kept):
        place = {key: i for i, key in enumerate(step.old.nodes.keys)}
        rows = np.array([place[plan.keys[i]] for i in kept])
        vectors[kept] = step.old.nodes.vectors.rows(rows)
        tokens[kept] = np.asarray(step.old.nodes.tokens)[rows]
    vectors[list(plan.write)], tokens[list(plan.write)] = written.vectors, written.tokens
    told = list(plan.told)
    for i in (plan.write[place] for place in written.waiting):
        vectors[i], tokens[i] = unit_row(below.vectors.rows(np.array(plan.groups[i].members))), 0
        told[i] = np.empty(0, np.int64)
    order = [below.order[group.members[0]] for group in plan.groups]
    nodes = Frontier(Matrix.of(vectors), tokens, plan.keys, order, [()] * count)
    return replace(step, levels=(*step.levels, TreeLevel(nodes, plan.groups, tuple(told), plan.born)))


def finish(step: Step) -> LiveTree:
    """The next generation. Groups of levels that the tree no longer has are gone without a plan that says so.

    Raises InvalidGrouping while there is no root.
    """
    if not step.finished:
        raise InvalidGrouping(f"level {step.number} is not planned yet")
    return LiveTree(step.before.generation + 1, step.leaves, step.levels, step.before.yardstick)
