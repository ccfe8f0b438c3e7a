"""What has to be written again when leaves come under a group: the group itself, and what stands above it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.arrays import IntArray
from services.maintenance.tree import TreeLevel, array_pairs, pairs, unseen


@dataclass(slots=True)
class Prices:
    """`slack` are the leaves that each summary, by number, can still take in; `paths` the numbers by group key."""

    slack: dict[int, float]
    paths: Mapping[str, tuple[int, ...]]

    def path(self, group: str) -> tuple[int, ...]:
        """The group first; nothing for one that is new."""
        return self.paths.get(group, ())

    def settle(self, paid: Iterable[str]) -> None:
        """Groups that are written anyway cost nothing more."""
        self.slack.update((self.paths[group][0], math.inf) for group in paid if group in self.paths)


def prices_of(
    levels: Sequence[TreeLevel],
    owner: Sequence[IntArray],
    gone: NDArray[np.bool_],
    lags: Sequence[float],
    keys: Sequence[str],
) -> Prices:
    """Of the groups `keys` of the lowest of `levels`, as the tree stood before.

    `owner` tells per level under which node each leaf of then lay, `gone` (leaves,) which of them are removed, `lags`
    how far each level may lag.
    """
    slack: list[float] = []
    starts = [0]
    for level, own, lag in zip(levels, owner, lags, strict=True):
        slack += _slack(level, own, gone, lag).tolist()
        starts.append(len(slack))
    above = _above(levels, starts)
    place = {key: i for i, key in enumerate(levels[0].nodes.keys)} if levels else {}
    paths = {key: _path(place[key], above) for key in keys if key in place}
    return Prices(dict(enumerate(slack)), paths)


def _slack(level: TreeLevel, owner: IntArray, gone: NDArray[np.bool_], lag: float) -> NDArray[np.float64]:
    """Leaves that each summary takes in before the unseen exceed their share: the greatest c with
    missed + c <= lag * (under + c)."""
    missed, under = unseen(level.told, owner)
    flat = array_pairs(level.told)
    stale = np.bincount(flat.rows[gone[flat.items]], minlength=len(level)) > 0
    slack: NDArray[np.float64] = np.floor(np.maximum(lag * under - missed, 0) / (1 - lag) + 1e-9)
    slack[stale | (np.array([len(told) for told in level.told]) == 0)] = math.inf
    return slack


def _above(levels: Sequence[TreeLevel], starts: Sequence[int]) -> dict[int, list[int]]:
    """The numbers of the groups that each summary is a member of, soft ones included."""
    above: dict[int, list[int]] = {}
    for (start, own), level in zip(pairwise(starts[:-1]), levels[1:], strict=True):
        flat = pairs([group.members for group in level.groups], [len(group.members) for group in level.groups])
        for group, member in zip(flat.rows.tolist(), flat.items.tolist(), strict=True):
            above.setdefault(start + member, []).append(own + group)
    return above


def _path(number: int, above: Mapping[int, Sequence[int]]) -> tuple[int, ...]:
    path = [number]
    for summary in path:
        path += [parent for parent in above.get(summary, ()) if parent not in path]
    return tuple(path)
