"""Single changes of a level, and what each makes necessary above it: pure, beside the full clustering.

A level maps the lasting id of each group to the keys of its primary members. Every operation returns a new level and
leaves the groups that it does not name as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.clustering.grouping import InvalidGrouping

Keys = frozenset[str]
Level = Mapping[str, Keys]


class Dissolved(NamedTuple):
    level: Level
    orphans: Keys  # to be placed


def place(
    level: Level,
    items: Mapping[str, NDArray[np.float32]],
    means: Mapping[str, NDArray[np.float32]],
    prices: Mapping[str, float],
) -> Level:
    """Puts items into groups so that distances and the summaries made necessary cost little together.

    `items` are their vectors, `means` those of the groups, both (d,); a distance is squared. `prices` is what writing
    a group and its path again is worth as a distance, 0 (or absent) for one that has to be written anyway. The greedy
    rule of facility location (Jain, Mahdian, Markakis, Saberi, Vazirani 2003): over and over the group and the items
    whose cost per item is least; a price is paid once. Raises InvalidGrouping when there is no group, or an item is in
    one already.
    """
    _refuse(sorted(items.keys() & _members(level)), "is in a group already")
    if not items:
        return level
    if not level:
        raise InvalidGrouping("there is no group to place items into")
    waiting, groups = sorted(items), sorted(level)
    price = np.array([prices.get(group, 0.0) for group in groups])
    distance = _squared_distances([items[key] for key in waiting], [means[group] for group in groups])
    joined: dict[str, set[str]] = {}
    while waiting:
        by_distance = np.argsort(distance, axis=0, kind="stable")
        total = np.take_along_axis(distance, by_distance, axis=0).cumsum(axis=0) + price
        per_item = total / np.arange(1, len(waiting) + 1)[:, None]
        group = int(per_item.min(axis=0).argmin())
        chosen = by_distance[: int(per_item[:, group].argmin()) + 1, group]
        joined.setdefault(groups[group], set()).update(waiting[i] for i in chosen)
        price[group] = 0.0
        waiting = [key for i, key in enumerate(waiting) if i not in set(chosen.tolist())]
        distance = np.delete(distance, chosen, axis=0)
    return {group: members | joined.get(group, set()) for group, members in level.items()}


def move(level: Level, item: str, to: str) -> Level:
    """Moves an item to the group `to`; a group left empty is gone. Raises InvalidGrouping."""
    _refuse([to] if to not in level else [], "is no group of this level")
    home = next((group for group, members in level.items() if item in members), None)
    if home is None:
        raise InvalidGrouping(f"{item} is in no group of this level")
    if home == to:
        return level
    moved = {**level, home: level[home] - {item}, to: level[to] | {item}}
    return {group: members for group, members in moved.items() if members}


def split(level: Level, group: str, leaving: AbstractSet[str], new: str) -> Level:
    """Takes some members of a group into a new one. Raises InvalidGrouping unless both keep members."""
    _refuse([group] if group not in level else [], "is no group of this level")
    _refuse([new] if new in level else [], "is a group of this level already")
    _refuse(sorted(leaving - level[group]), f"is no member of {group}")
    if not leaving or leaving == level[group]:
        raise InvalidGrouping(f"a split of {group} has to leave members on both sides")
    return {**level, group: level[group] - leaving, new: frozenset(leaving)}


def merge(level: Level, into: str, group: str) -> Level:
    """Adds all members of `group` to `into`, whose id stays. Raises InvalidGrouping."""
    _refuse([name for name in (into, group) if name not in level], "is no group of this level")
    if into == group:
        raise InvalidGrouping(f"{group} cannot be merged into itself")
    merged = {**level, into: level[into] | level[group]}
    del merged[group]
    return merged


def dissolve(level: Level, group: str) -> Dissolved:
    """Takes a group away; its members wait to be placed. Raises InvalidGrouping."""
    _refuse([group] if group not in level else [], "is no group of this level")
    return Dissolved({name: members for name, members in level.items() if name != group}, level[group])


def resummarise_path(
    levels: Sequence[Level],
    provenance: Mapping[str, AbstractSet[str]],
    *,
    changed: Iterable[str] = (),
    removed: AbstractSet[str] = frozenset(),
    lag: float = 0.0,
) -> list[list[str]]:
    """The groups whose summaries have to be written again, level by level from below, ids in order.

    `levels` lie above the leaves, each made of the ids of the one below; `provenance` is the set of leaves that each
    summary's text was written from. To be written are: what has no text, the groups in `changed`, every text that was
    written from a leaf in `removed`, be it still below that group or not, and whatever else differs from the leaves
    now below it by more than the share `lag` of these. On the lowest level `lag` does not apply.
    """
    named = set(changed)
    below: dict[str, Keys] = {}
    stale: list[list[str]] = []
    for height, level in enumerate(levels):
        leaves = {group: _leaves(members, below, height) for group, members in level.items()}
        allowed = lag if height > 0 else 0.0
        stale.append(
            [
                group
                for group in sorted(level)
                if group in named or _is_stale(provenance.get(group), leaves[group], removed, allowed)
            ]
        )
        below = leaves
    return stale


def _is_stale(told: AbstractSet[str] | None, leaves: Keys, removed: AbstractSet[str], lag: float) -> bool:
    if told is None or told & removed:
        return True
    return len(leaves ^ told) > lag * len(leaves)


def _leaves(members: Keys, below: Mapping[str, Keys], height: int) -> Keys:
    if height == 0:
        return members
    _refuse(sorted(members - below.keys()), "is no group of the level below")
    return frozenset().union(*(below[member] for member in members))


def _members(level: Level) -> set[str]:
    return {member for members in level.values() for member in members}


def _squared_distances(
    items: Sequence[NDArray[np.float32]], means: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    x, y = np.asarray(items, np.float64), np.asarray(means, np.float64)
    squared = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * (x @ y.T)
    return np.asarray(np.maximum(squared, 0.0))


def _refuse(names: Sequence[str], why: str) -> None:
    if names:
        raise InvalidGrouping(f"{names[0]} {why}")
