"""A live tree as plain values, and who lies under whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray, IntArray
from services.clustering.grouping import Frontier, Group, InvalidGrouping, InvalidVector


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A tree as its last full clustering left it: what later changes are measured with, and against.

    `sizes` and `spreads` have one value a level, from the first above the leaves: the mean number of nodes in a group,
    and the median squared distance of a node to the mean of the others in its group.
    """

    sizes: tuple[float, ...]
    spreads: tuple[float, ...]
    regret: float
    leaves: int


@dataclass(frozen=True, slots=True, eq=False)
class TreeLevel:
    """The summaries of one level; position i of every field tells of node i.

    A node's key is the lasting identity of its group: it stays while members come and go. `groups` are its members in
    the level below. `told` are the leaves that its text was written from, ascending positions in the tree's leaves,
    and none for a group that waits for its text; `born` are the generations in which the groups came to be.
    """

    nodes: Frontier
    groups: tuple[Group, ...]
    told: tuple[IntArray, ...]
    born: tuple[int, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.nodes), len(self.groups), len(self.told), len(self.born)}
        if len(lengths) > 1:
            raise InvalidGrouping(f"the fields of a tree's level differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class LiveTree:
    """One generation. `levels` lie above the leaves, the lowest first; the last holds the root alone."""

    generation: int
    leaves: Frontier
    levels: tuple[TreeLevel, ...]
    yardstick: Yardstick

    @property
    def summaries(self) -> int:
        return sum(len(level) for level in self.levels)


class Pairs(NamedTuple):
    """A list of lists, flat: `items[i]` belongs to `rows[i]`."""

    rows: IntArray
    items: IntArray


def pairs(lists: Sequence[Iterable[int]], lengths: Sequence[int]) -> Pairs:
    flat = np.fromiter(chain.from_iterable(lists), np.int64, sum(lengths))
    return Pairs(np.repeat(np.arange(len(lists)), lengths), flat)


def array_pairs(arrays: Sequence[IntArray]) -> Pairs:
    lengths = [len(array) for array in arrays]
    flat = np.concatenate([np.empty(0, np.int64), *arrays])
    return Pairs(np.repeat(np.arange(len(arrays)), lengths), flat)


def homes(groups: Sequence[Group], count: int) -> IntArray:
    """The primary group of each of the `count` nodes below, -1 for one that has none."""
    lengths = [len(group.members) for group in groups]
    members = pairs([group.members for group in groups], lengths)
    primary = np.fromiter(chain.from_iterable(group.primary for group in groups), bool, sum(lengths))
    home = np.full(count, -1)
    home[members.items[primary]] = members.rows[primary]
    return home


def by_group(home: IntArray, groups: int) -> list[IntArray]:
    """The nodes of each group, ascending."""
    sizes = np.bincount(home, minlength=groups)
    return np.split(np.argsort(home, kind="stable"), np.cumsum(sizes)[:-1])


def owners(leaves: int, levels: Sequence[TreeLevel]) -> list[IntArray]:
    """For the leaves and every level above: the node that each leaf lies under, by primary membership, -1 for none."""
    owner, count, all_owners = np.arange(leaves), leaves, [np.arange(leaves)]
    for level in levels:
        home = homes(level.groups, count)
        owner, count = np.where(owner >= 0, home[owner], -1), len(level)
        all_owners.append(owner)
    return all_owners


def unseen(told: Sequence[IntArray], owner: IntArray) -> tuple[IntArray, IntArray]:
    """Per node: the leaves under it that its text has not seen, and all leaves under it, both as numbers."""
    count = len(told)
    under = np.bincount(owner[owner >= 0], minlength=count)
    flat = array_pairs(told)
    seen = np.bincount(flat.rows[owner[flat.items] == flat.rows], minlength=count)
    return under - seen, under


def largest_lag(leaves: int, levels: Iterable[tuple[Sequence[Group], Sequence[IntArray]]]) -> float:
    """Of the summaries with a text: the largest share of the leaves under one that it has not seen. `levels` are the
    groups and what their texts were written from, the lowest first."""
    owner, count, largest = np.arange(leaves), leaves, 0.0
    for groups, told in levels:
        home = homes(groups, count)
        owner, count = np.where(owner >= 0, home[owner], -1), len(groups)
        missed, under = unseen(told, owner)
        written = (under > 0) & (np.array([len(one) for one in told]) > 0)
        largest = max(largest, float((missed[written] / under[written]).max(initial=0.0)))
    return largest


def untold(levels: Sequence[TreeLevel], owner: Sequence[IntArray]) -> NDArray[np.bool_]:
    """(leaves,): which leaves lie under a group that waits for its text, on any of the levels. `owner` is as of
    `owners`."""
    hidden = np.zeros(len(owner[0]), bool)
    for level, own in zip(levels, owner[1:], strict=True):
        waiting = np.array([len(told) == 0 for told in level.told])
        hidden |= (own >= 0) & waiting[own]
    return hidden


def unit_row(rows: FloatArray) -> FloatArray:
    """(d,): the direction of the mean of rows, that of the first where they cancel each other out."""
    mean = rows.mean(axis=0)
    if np.linalg.norm(mean) < 1e-6:
        mean = rows[0]
    return np.asarray(mean / np.linalg.norm(mean))


def unit(nodes: Frontier) -> FloatArray:
    """The vectors (n, d), each of norm 1. Raises InvalidVector for one that has no direction or is not finite."""
    rows = nodes.vectors.rows(np.arange(len(nodes)))
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    wrong = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(wrong):
        raise InvalidVector(f"the vector of {nodes.keys[wrong[0]]} is not finite or has norm zero")
    if np.abs(norms - 1).max() > 1e-3:
        rows = rows / norms[:, None]
    return rows


def reading_ranks(nodes: Frontier) -> IntArray:
    """The rank of each node in reading order; ties by key."""
    order, keys = nodes.order, nodes.keys
    ranks = np.empty(len(nodes), np.int64)
    ranks[sorted(range(len(nodes)), key=lambda i: (order[i], keys[i]))] = np.arange(len(nodes))
    return ranks


def group_of(primary: Mapping[int, float], guests: Mapping[int, float], reading: IntArray) -> Group:
    """Members with their weights, put into reading order."""
    members = sorted([*primary, *guests], key=reading.__getitem__)
    return Group(
        members=tuple(members),
        weights=tuple(primary[i] if i in primary else guests[i] for i in members),
        primary=tuple(i in primary for i in members),
    )
