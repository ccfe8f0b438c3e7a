"""The draft that planning a level begins with: the groups of before, with what is left of their members."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.arrays import IntArray
from services.maintenance.draft import LEAST_SIZE, Below, LevelDraft
from services.maintenance.prices import Prices, prices_of
from services.maintenance.step import Step
from services.maintenance.tree import TreeLevel, array_pairs, homes, owners

Weights = dict[int, float]


class _Groups(NamedTuple):
    members: dict[str, Weights]
    guests: dict[str, Weights]


def draft_of(step: Step) -> LevelDraft:
    below, before, number = step.below(), step.before, step.number
    groups = _surviving_groups(step, below)
    told, stale = _surviving_texts(step)
    known = min(number, len(before.yardstick.sizes)) - 1
    return LevelDraft(
        number=number,
        generation=before.generation + 1,
        below=below,
        shape=step.shape,
        params=step.params,
        size=max(before.yardstick.sizes[known], LEAST_SIZE),
        spread=before.yardstick.spreads[known],
        members=groups.members,
        guests=groups.guests,
        told=told,
        stale=stale,
        parents=_parents(step),
    )


def prices_for(step: Step, draft: LevelDraft) -> Prices:
    """What it costs to bring leaves under the groups of the draft, by the tree of before."""
    levels = step.before.levels[step.number - 1 :]
    owner = owners(len(step.before.leaves), step.before.levels)[step.number :]
    lags = [draft.lag, *[step.params.lag] * len(levels)][: len(levels)]
    prices = prices_of(levels, owner, step.carried < 0, lags, draft.groups())
    prices.settle(draft.paid)
    return prices


def return_home(step: Step, draft: LevelDraft) -> None:
    """A new group joins the one that more than half of its leaves were under before: that text has seen them."""
    if step.old is None or step.number == 1:
        return
    owner = owners(len(step.before.leaves), step.before.levels)[step.number]
    there = np.flatnonzero(step.carried >= 0)
    node, group = draft.below.owner[step.carried[there]], owner[there]
    pairs, leaves = np.unique(node * len(step.old) + group, return_counts=True)
    most = leaves * 2 > draft.below.leaves[pairs // len(step.old)]
    for pair in pairs[most].tolist():
        item, key = pair // len(step.old), step.old.nodes.keys[pair % len(step.old)]
        if item not in draft.home and key in draft.members:
            draft.join(item, key)


def _surviving_groups(step: Step, below: Below) -> _Groups:
    groups = _Groups({}, {})
    if step.old is None:
        return groups
    nodes_before = step.before.levels[step.number - 2].nodes if step.number > 1 else step.before.leaves
    place = {key: i for i, key in enumerate(below.nodes.keys)}
    now = [place.get(key, -1) for key in nodes_before.keys]
    for key, group in zip(step.old.nodes.keys, step.old.groups, strict=True):
        groups.members[key], groups.guests[key] = {}, {}
        for member, weight, primary in zip(group.members, group.weights, group.primary, strict=True):
            if now[member] >= 0:
                (groups.members if primary else groups.guests)[key][now[member]] = weight
    return groups


def _surviving_texts(step: Step) -> tuple[dict[str, IntArray], frozenset[str]]:
    """What each text that may stay was written from, as places among the new leaves; and the groups whose may not."""
    old = step.old
    if old is None:
        return {}, frozenset()
    flat = array_pairs(old.told)
    now = step.carried[flat.items]
    stale = np.bincount(flat.rows[now < 0], minlength=len(old)) > 0
    told = np.split(now, np.cumsum([len(own) for own in old.told])[:-1])
    keys = old.nodes.keys
    live = {keys[i]: np.sort(told[i]) for i in np.flatnonzero(~stale).tolist() if len(told[i])}
    return live, frozenset(keys[i] for i in np.flatnonzero(stale).tolist())


def _parents(step: Step) -> dict[str, int]:
    if step.old is None or step.number >= len(step.before.levels):
        return {}
    above: TreeLevel = step.before.levels[step.number]
    home = homes(above.groups, len(step.old))
    return dict(zip(step.old.nodes.keys, home.tolist(), strict=True))
