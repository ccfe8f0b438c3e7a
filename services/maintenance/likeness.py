"""Placement by likeness, for groupers that cluster vectors. What it keeps to is told in `placement.py`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray, IntArray
from services.clustering import budget
from services.clustering.grouping import Frontier, Group
from services.maintenance.criterion import bisected, distances_to_others, looseness, means_of
from services.maintenance.draft import LevelDraft, means
from services.maintenance.location import Site, located
from services.maintenance.prices import Prices
from services.maintenance.tree import by_group, homes, unit

NEAREST = 16  # groups, of all and of those that are written anyway, that an item may go to
CROWDED = 1.5  # typical sizes up to which groups are filled, founded and merged
LARGEST = 2.5  # typical sizes from which on it is split in any case
CLOSER = 0.95  # of its distance to the others: a member moves for a mean that is nearer than that
PASSES = 3  # of moves
NEARER = 0.9  # of the squared distance to the others of its group: a leaf regrets it for a mean nearer than that


class Likeness:
    def place(self, draft: LevelDraft, items: Sequence[int], prices: Prices) -> None:
        groups = draft.groups()
        if not groups:
            draft.found(items)
            return
        distances = _squared_distances(draft.below.rows[list(items)], means(draft, groups))
        sites = [
            *_sites(draft, distances, groups, prices),
            *_fresh_sites(draft, items, [groups[i] for i in distances.argmin(axis=1)], prices),
        ]
        leaves = draft.below.leaves[list(items)].tolist()
        for taken in located(sites, leaves, prices.slack, draft.price):
            chosen = [items[i] for i in taken.items]
            if taken.site >= len(groups):
                draft.found(chosen)
                continue
            for item in chosen:
                draft.join(item, groups[taken.site])

    def regroup(self, draft: LevelDraft) -> None:
        _move(draft)
        _merge(draft)
        _split(draft)

    def regretted(self, leaves: Frontier, groups: Sequence[Group], asked: IntArray) -> NDArray[np.bool_]:
        return _regretted(leaves, groups, asked)

    def cut(self, draft: LevelDraft, group: str) -> list[IntArray]:
        members, below = np.array(sorted(draft.members[group])), draft.below
        return budget.split(members, below.rows, below.cost, below.reading, draft.budget)


def _regretted(leaves: Frontier, groups: Sequence[Group], asked: IntArray) -> NDArray[np.bool_]:
    rows, home = unit(leaves), homes(groups, len(leaves))
    sizes, own = np.bincount(home, minlength=len(groups)), home[asked]
    centres = means_of(rows, by_group(home, len(groups)))
    size = sizes[own][:, None].astype(np.float32)
    from_others = rows[asked] - (centres[own] * size - rows[asked]) / np.maximum(size - 1, 1)
    distances = _squared_distances(rows[asked], centres)
    distances[np.arange(len(asked)), own] = np.inf
    nearer = distances.min(axis=1) < NEARER * np.einsum("ij,ij->i", from_others, from_others)
    return np.asarray(nearer & (sizes[own] > 1))


def _sites(draft: LevelDraft, distances: FloatArray, groups: list[str], prices: Prices) -> list[Site]:
    paid = np.array([group in draft.paid for group in groups])
    near = _nearest(distances, np.ones(len(groups), bool)) | _nearest(distances, paid)
    crowded = math.ceil(CROWDED * draft.size)
    sites = []
    for g, group in enumerate(groups):
        candidates = np.flatnonzero(near[:, g])
        candidates = candidates[np.argsort(distances[candidates, g], kind="stable")]
        sites.append(
            Site(
                items=tuple(candidates.tolist()),
                distances=tuple(distances[candidates, g].tolist()),
                path=prices.path(group),
                room=max(0, crowded - len(draft.members[group])),
            )
        )
    return sites


def _nearest(distances: FloatArray, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(items, groups): whether a group is one of the nearest of those `among` which is chosen."""
    near = np.zeros(distances.shape, bool)
    columns = np.flatnonzero(among)
    if len(columns):
        some = distances[:, columns]
        count = min(NEAREST, len(columns))
        chosen = columns[np.argpartition(some, count - 1, axis=1)[:, :count]]
        near[np.arange(len(distances))[:, None], chosen] = True
    return near


def _fresh_sites(draft: LevelDraft, items: Sequence[int], nearest: Sequence[str], prices: Prices) -> Iterator[Site]:
    """Groups that could be founded of new items alone: branches of their average-linkage tree. They would come under
    what is above the nearest group that is there."""
    if len(items) < 2:
        return
    rows = draft.below.rows[list(items)]
    largest = max(2, math.ceil(CROWDED * draft.size))
    for branch in _branches(rows, largest):
        own = distances_to_others(rows[branch])
        yield Site(
            items=tuple(branch.tolist()),
            distances=tuple(own.tolist()),
            path=prices.path(nearest[branch[0]])[1:],
            opening=1,
            whole=True,
        )


def _branches(rows: FloatArray, largest: int) -> Iterator[IntArray]:
    from scipy.cluster.hierarchy import linkage  # here: the API process never loads it
    from scipy.spatial.distance import squareform

    distances = _squared_distances(rows, rows)
    np.fill_diagonal(distances, 0.0)
    merges = linkage(squareform(distances, checks=False), "average")
    branches = [np.array([i]) for i in range(len(rows))]
    for left, right in merges[:, :2].astype(int).tolist():
        both = len(branches[left]) + len(branches[right])
        branch = np.sort(np.concatenate([branches[left], branches[right]])) if both <= largest else np.arange(both)
        branches.append(branch)
        if both <= largest:
            yield branch


def _move(draft: LevelDraft) -> None:
    for _ in range(PASSES):
        if not _moved(draft):
            return


def _moved(draft: LevelDraft) -> bool:
    """One pass over the members of groups that are written anyway: they move to others that are, for nothing.

    Above the first level, those of a group whose members have changed move to any: groups there are few and settle
    badly otherwise.
    """
    groups = draft.groups() if draft.number > 1 else draft.paid_groups()
    if len(groups) < 2:
        return False
    centres = means(draft, groups)
    moved = False
    for place in [i for i, group in enumerate(groups) if group in draft.paid]:
        for item, to in _wishes(draft, place, groups, centres):
            if len(draft.members[groups[place]]) > 2 and _takes(draft, to, item):
                draft.move(item, to)
                draft.paid.add(to)
                moved = True
    return moved


def _wishes(draft: LevelDraft, place: int, groups: list[str], centres: FloatArray) -> list[tuple[int, str]]:
    """Members of a group that are nearer to the mean of another one, and which."""
    items = sorted(draft.members[groups[place]])
    if len(items) < 3:
        return []
    rows = draft.below.rows[items]
    distances = _squared_distances(rows, centres)
    far = draft.relinked(groups[place])
    distances[:, [i == place or not (far or group in draft.paid) for i, group in enumerate(groups)]] = np.inf
    nearest = distances.argmin(axis=1)
    wants = distances[np.arange(len(items)), nearest] < CLOSER * distances_to_others(rows)
    return [(items[i], groups[nearest[i]]) for i in np.flatnonzero(wants)]


def _takes(draft: LevelDraft, group: str, item: int) -> bool:
    fits = draft.tokens(group) + int(draft.below.cost[item]) <= draft.budget
    return fits and len(draft.members[group]) < LARGEST * draft.size


def _merge(draft: LevelDraft) -> None:
    """Joins a small group to its nearest sibling where that, with the summary saved, brings members together."""
    for group in [g for g in draft.paid_groups() if len(draft.members[g]) <= draft.size / 2]:
        if group not in draft.members:
            continue
        into = _sibling(draft, group)
        if into is not None and _better_as_one(draft, group, into):
            for item in draft.drop(group):
                draft.join(item, into)


def _sibling(draft: LevelDraft, group: str) -> str | None:
    """The nearest group that is written anyway and has the same parent; a new group has none yet and goes anywhere."""
    parent = draft.parents.get(group)
    siblings = [
        other
        for other in draft.paid_groups()
        if other != group and (parent is None or draft.parents.get(other) in (None, parent))
    ]
    if not siblings:
        return None
    return siblings[int((means(draft, siblings) @ draft.mean(group)).argmax())]


def _better_as_one(draft: LevelDraft, group: str, into: str) -> bool:
    one, other = draft.rows(group), draft.rows(into)
    both = np.concatenate([one, other])
    if len(both) > CROWDED * draft.size or draft.tokens(group) + draft.tokens(into) > draft.budget:
        return False
    return looseness(both) <= looseness(one) + looseness(other) + draft.price


def _split(draft: LevelDraft) -> None:
    waiting = draft.paid_groups()
    while waiting:
        group = waiting.pop()
        leaving = _leaving(draft, group)
        if leaving:
            waiting += [group, draft.part(group, leaving)]


def _leaving(draft: LevelDraft, group: str) -> list[int]:
    """The members that leave a group that has gained some; none where it stays together better, or as well.

    One that has only lost members stays whole: the full clustering may have wanted it that large.
    """
    items = np.array(sorted(draft.members[group]))
    if len(items) < 4 or len(items) <= draft.size or not draft.gained(group):
        return []
    rows = draft.below.rows[items]
    labels = bisected(rows)
    forced = len(items) > LARGEST * draft.size
    if labels is None:
        if not forced:
            return []
        labels = (np.argsort(np.argsort(draft.below.reading[items])) >= len(items) // 2).astype(np.int64)
    apart = looseness(rows[labels == 0]) + looseness(rows[labels == 1])
    if not forced and apart + draft.price > looseness(rows):
        return []
    smaller = int(labels.sum() * 2 <= len(labels))
    return [int(item) for item in items[labels == smaller]]


def _squared_distances(rows: FloatArray, centres: FloatArray) -> FloatArray:
    """(n, k) between unit rows (n, d) and means (k, d)."""
    distances: FloatArray = rows @ centres.T
    distances *= -2
    distances += 1 + np.einsum("ij,ij->i", centres, centres)
    np.maximum(distances, 0, out=distances)
    return distances
