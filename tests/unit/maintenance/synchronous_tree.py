"""A tree clustered and maintained in one process, with summaries that are no texts but vectors as texts' would lie."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from services.clustering import Frontier, Group, Matrix, load_grouper
from services.maintenance import (
    LevelPlan,
    LiveTree,
    MaintenanceParams,
    Shape,
    TreeLevel,
    Written,
    advance,
    begin,
    finish,
    plan_level,
    yardstick_of,
)
from utils.hashing import digest_of

Rows = np.ndarray[Any, np.dtype[np.float32]]
Write = Callable[[Frontier, Sequence[Group]], Written]

SUMMARY_TOKENS = 130
# How far a summary lies from the mean of what it tells: with this, its cosine to the mean is .89 and that of a summary
# to the one written when one more member joined .97, as measured on extractive summaries of 60 groups of real texts.
DRIFT = 0.51


def drifting_means(below: Frontier, groups: Sequence[Group]) -> Written:
    """Vectors near the mean of the members; what draws each away is a matter of its members alone."""
    rows = [below.vectors.rows(np.array(group.members)) for group in groups]
    vectors = [
        _unit(_unit(own.mean(axis=0)) + DRIFT * _unit(np.sum([_pull(row) for row in own], axis=0))) for own in rows
    ]
    dimensions = below.vectors.shape[1]
    return Written(np.array(vectors, np.float32).reshape(-1, dimensions), np.full(len(groups), SUMMARY_TOKENS))


def _pull(row: Rows) -> Rows:
    return np.random.default_rng(crc32(row.tobytes())).standard_normal(len(row), np.float32)


def _unit(row: Rows) -> Rows:
    return np.asarray(row / np.linalg.norm(row))


@dataclass(frozen=True, slots=True)
class Maintained:
    tree: LiveTree
    plans: tuple[LevelPlan, ...]
    cpu_s: float  # of planning alone

    @property
    def written(self) -> int:
        return sum(len(plan.write) for plan in self.plans)


def maintained(
    tree: LiveTree, leaves: Frontier, shape: Shape, params: MaintenanceParams, write: Write = drifting_means
) -> Maintained:
    """The next generation of a tree, whose leaves are then `leaves`."""
    cpu_s = -time.process_time()
    step = begin(tree, leaves, shape, params)
    cpu_s += time.process_time()
    plans: list[LevelPlan] = []
    while not step.finished:
        cpu_s -= time.process_time()
        plan = plan_level(step)
        cpu_s += time.process_time()
        below = step.levels[-1].nodes if step.levels else leaves
        step = advance(step, plan, write(below, [plan.groups[i] for i in plan.write]))
        plans.append(plan)
    return Maintained(finish(step), tuple(plans), cpu_s)


def clustered(leaves: Frontier, shape: Shape, write: Write = drifting_means, generation: int = 0) -> LiveTree:
    """A tree clustered as a whole."""
    levels: list[TreeLevel] = []
    told = [np.array([i]) for i in range(len(leaves))]
    below = leaves
    while not levels or len(levels[-1]) > 1:
        groups = _groups(below, shape, len(levels) + 1)
        texts = write(below, groups)
        keys = tuple(digest_of(sorted(below.keys[m] for m in group.members)) for group in groups)
        order = [below.order[group.members[0]] for group in groups]
        nodes = Frontier(Matrix.of(texts.vectors), texts.tokens, keys, order, [()] * len(groups))
        told = [np.unique(np.concatenate([told[member] for member in group.members])) for group in groups]
        levels.append(TreeLevel(nodes, tuple(groups), tuple(told), (generation,) * len(groups)))
        below = nodes
    return LiveTree(generation, leaves, tuple(levels), yardstick_of(leaves, levels, shape))


def _groups(below: Frontier, shape: Shape, level: int) -> Sequence[Group]:
    if len(below) == 1 or shape.under_one_root(level):
        reading = sorted(range(len(below)), key=lambda i: below.order[i])
        return [Group(tuple(reading), (1.0,) * len(below), (True,) * len(below))]
    return asyncio.run(load_grouper(shape.grouper)(below, shape.grouping, _at_once)).groups


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def frontier(
    rows: Rows,
    keys: Sequence[str],
    order: Sequence[tuple[str, int]],
    tokens: Sequence[int] | None = None,
    paths: Sequence[tuple[str, ...]] | None = None,
) -> Frontier:
    """Leaves with unit vectors (n, d)."""
    tokens = [100] * len(keys) if tokens is None else tokens
    return Frontier(Matrix.of(rows), np.array(tokens), keys, order, paths or [()] * len(keys))
