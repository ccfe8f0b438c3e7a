"""What every grouper guarantees, made true for whatever an engine proposes.

Every node has exactly one primary group; every group has at least two primary members (where there are two nodes), so
that a level is at most half of the one below it; no group is over the token budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from services.arrays import FloatArray, IntArray
from services.clustering.canonical import Members, WeightArray
from services.clustering.threads import one_thread


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What an engine would put together: canonical indices and the membership weight of each, in (0, 1]."""

    members: IntArray
    weights: WeightArray


@one_thread
def repair(
    proposals: Sequence[Proposal], rows: FloatArray, cost: IntArray, reading: IntArray, budget: int
) -> list[Members]:
    """Groups that keep the guarantees, as close to the proposals as they allow.

    `rows` (n, d) are the nodes' vectors in canonical order, `cost` (n,) their tokens, each at most a third of the
    budget, `reading` (n,) their ranks in reading order. A group with a single primary member joins the group whose
    mean is nearest by cosine; a group over the budget gives up its soft members, the weakest first, and is split
    when its primary members alone are over it.
    """
    home, weight, soft = _memberships(proposals, len(rows))
    home, soft = _without_lone_members(home, soft, rows)
    groups: list[Members] = []
    for primary, guests in zip(_by_label(home), _guests(soft, home), strict=True):
        groups += _within_budget(primary, weight[primary], guests, rows, cost, reading, budget)
    return _distinct(groups)


def split(members: IntArray, rows: FloatArray, cost: IntArray, reading: IntArray, budget: int) -> list[IntArray]:
    """Cuts a set across its first principal axis into parts of two or more members within the budget.

    `members` are indices of `rows`. A set within the budget comes back whole.
    """
    if cost[members].sum() <= budget:
        return [members]
    along = members[np.lexsort((reading[members], _principal_projection(rows[members])))]
    left, right = halve(along, cost, budget)
    return [*split(left, rows, cost, reading, budget), *split(right, rows, cost, reading, budget)]


def halve(along: IntArray, cost: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Cuts a sequence of four or more in two, each with at least two members, near a boundary of whole budgets.

    A sequence worth 2.5 budgets is cut at a third of its tokens, so that three parts come out of it and not four.
    """
    running = cost[along].cumsum()
    parts = max(2, -(-int(running[-1]) // budget))
    cut = int(np.searchsorted(running, running[-1] * (parts // 2) / parts, side="right"))
    cut = min(max(cut, 2), len(along) - 2)
    return along[:cut], along[cut:]


@dataclass(frozen=True, slots=True, eq=False)
class _Soft:
    """Memberships beside the primary ones, one a row."""

    items: IntArray
    labels: IntArray
    weights: WeightArray


def _memberships(proposals: Sequence[Proposal], n: int) -> tuple[IntArray, WeightArray, _Soft]:
    """Each node's primary label and its weight there, and all other memberships. A node in no group gets its own."""
    covered = np.zeros(n, bool)
    for proposal in proposals:
        covered[proposal.members] = True
    alone = np.flatnonzero(~covered)
    items = np.concatenate([*(p.members for p in proposals), alone]).astype(np.int64)
    weights = np.concatenate([*(p.weights for p in proposals), np.ones(len(alone))])
    sizes = [len(p.members) for p in proposals] + [1] * len(alone)
    labels = np.repeat(np.arange(len(sizes)), sizes)

    by_item = np.lexsort((labels, -weights, items))
    items, labels, weights = items[by_item], labels[by_item], weights[by_item]
    first = np.r_[True, items[1:] != items[:-1]]
    rest = ~first
    return labels[first], weights[first], _Soft(items[rest], labels[rest], weights[rest])


def _without_lone_members(home: IntArray, soft: _Soft, rows: FloatArray) -> tuple[IntArray, _Soft]:
    """Joins every group of one primary member to its nearest; labels come back as 0..groups-1.

    Who is nearest is decided from the means before any joining, all at once: two outliers that are each other's
    nearest become a pair, and the outcome does not depend on an order of joining.
    """
    labels, compact, sizes = np.unique(home, return_inverse=True, return_counts=True)
    target = np.arange(len(labels))
    lone = np.flatnonzero(sizes == 1)
    if len(labels) > 1 and len(lone):
        target[lone] = _nearest_groups(lone, _mean_directions(compact, rows))
        target = _component(target)
    compact_of = np.full(max(int(home.max()), int(soft.labels.max(initial=0))) + 1, -1)
    compact_of[labels] = np.unique(target, return_inverse=True)[1]
    home = compact_of[home]
    labels_of_soft = compact_of[soft.labels]
    stays = (labels_of_soft >= 0) & (labels_of_soft != home[soft.items])
    return home, _Soft(soft.items[stays], labels_of_soft[stays], soft.weights[stays])


def _mean_directions(labels: IntArray, rows: FloatArray) -> FloatArray:
    by_label = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(labels[by_label]) > 0])
    sums = np.add.reduceat(rows[by_label], starts, axis=0)
    norms = np.sqrt(np.einsum("ij,ij->i", sums, sums))
    directions: FloatArray = sums / np.maximum(norms, 1e-12)[:, None]
    return directions


def _nearest_groups(lone: IntArray, directions: FloatArray, block: int = 1024) -> IntArray:
    nearest = np.empty(len(lone), np.int64)
    for start in range(0, len(lone), block):
        some = lone[start : start + block]
        similarity = directions[some] @ directions.T
        similarity[np.arange(len(some)), some] = -np.inf
        nearest[start : start + len(some)] = similarity.argmax(axis=1)
    return nearest


def _component(target: IntArray) -> IntArray:
    """The least index of each group's component when every group is joined to its target."""
    parent = list(range(len(target)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in enumerate(target.tolist()):
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(len(parent))])


def _by_label(labels: IntArray) -> list[IntArray]:
    by_label = np.argsort(labels, kind="stable")
    return np.split(by_label, np.flatnonzero(np.diff(labels[by_label])) + 1)


def _guests(soft: _Soft, home: IntArray) -> list[Proposal]:
    """For every group its soft members, the strongest first, each once."""
    by_label = np.lexsort((soft.items, -soft.weights, soft.labels))
    items, labels, weights = soft.items[by_label], soft.labels[by_label], soft.weights[by_label]
    bounds = np.searchsorted(labels, np.arange(int(home.max()) + 2))
    guests = []
    for start, stop in pairwise(bounds.tolist()):
        once = np.sort(np.unique(items[start:stop], return_index=True)[1])
        guests.append(Proposal(items[start:stop][once], weights[start:stop][once]))
    return guests


def _within_budget(
    primary: IntArray,
    weights: WeightArray,
    guests: Proposal,
    rows: FloatArray,
    cost: IntArray,
    reading: IntArray,
    budget: int,
) -> list[Members]:
    spent = int(cost[primary].sum())
    if spent > budget:
        weight_of = dict(zip(primary.tolist(), weights.tolist(), strict=True))
        parts = [np.sort(part) for part in split(primary, rows, cost, reading, budget)]
        return [_members(part, np.array([weight_of[i] for i in part.tolist()])) for part in parts]
    fitting = int(np.searchsorted(cost[guests.members].cumsum(), budget - spent, side="right"))
    return [_members(primary, weights, guests.members[:fitting], guests.weights[:fitting])]


def _members(
    primary: IntArray, weights: WeightArray, guests: IntArray | None = None, guest_weights: WeightArray | None = None
) -> Members:
    if guests is None or guest_weights is None:
        return Members(primary, weights, np.ones(len(primary), bool))
    members = np.concatenate([primary, guests])
    by_index = np.argsort(members)
    is_primary = np.arange(len(members)) < len(primary)
    return Members(members[by_index], np.concatenate([weights, guest_weights])[by_index], is_primary[by_index])


def _distinct(groups: Sequence[Members]) -> list[Members]:
    """Groups of the same members, told apart only by who is primary where, become one: one summary says it all."""
    by_members: dict[bytes, Members] = {}
    for group in groups:
        same = by_members.get(key := group.members.tobytes())
        if same is not None:
            group = Members(group.members, np.maximum(group.weights, same.weights), group.primary | same.primary)
        by_members[key] = group
    return list(by_members.values())


def _principal_projection(rows: FloatArray, iterations: int = 12) -> WeightArray:
    """Coordinates along the first principal axis, by power iteration from the row farthest from the mean."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    axis = centred[int(np.einsum("ij,ij->i", centred, centred).argmax())]
    for _ in range(iterations):
        norm = np.linalg.norm(axis)
        if norm < 1e-12:
            return np.zeros(len(rows))
        axis = centred.T @ (centred @ (axis / norm))
    projection: WeightArray = centred @ (axis / max(float(np.linalg.norm(axis)), 1e-300))
    return projection
