"""From one generation of a tree to the next: level by level, since the vectors of new summaries are known only once
they are written.

    step = begin(tree, leaves, shape, params)
    while not step.finished:
        plan = plan_level(step)
        step = advance(step, plan, written)  # the texts of `plan.write`, in that order, with their vectors
    tree = finish(step)

Nothing is left to chance: the same tree, leaves and parameters give the same bytes in every process.
"""

from __future__ import annotations

import numpy as np

from services.arrays import IntArray
from services.clustering.grouping import Group, InvalidGrouping
from services.clustering.threads import one_thread
from services.maintenance.draft import LevelDraft
from services.maintenance.drafting import draft_of, prices_for, return_home
from services.maintenance.placement import Placement, placement_of
from services.maintenance.step import LevelPlan, Reason, Step
from services.maintenance.tree import group_of


@one_thread
def plan_level(step: Step) -> LevelPlan:
    """Who belongs together on the next level, and which texts that makes necessary. Raises InvalidVector."""
    if step.finished:
        raise InvalidGrouping("there is nothing above a root")
    draft = draft_of(step)
    if step.shape.under_one_root(step.number):
        _join_all(draft)
    else:
        _arrange(step, draft, placement_of(step.shape.grouper, draft.below.nodes))
    draft.release()
    return _planned(step, draft)


def _arrange(step: Step, draft: LevelDraft, placement: Placement) -> None:
    return_home(step, draft)
    _dissolve(draft)
    items = draft.items()
    if items:
        placement.place(draft, items, prices_for(step, draft))
    for group in draft.groups():
        if draft.tokens(group) > draft.budget:
            for part in placement.cut(draft, group)[1:]:
                draft.part(group, part.tolist())
    draft.settle()
    placement.regroup(draft)
    _trim_guests(draft)


def _join_all(draft: LevelDraft) -> None:
    """Everything under one root, that of before where there was one."""
    roots = draft.groups()
    for group in roots[1:]:
        draft.drop(group)
    if not roots:
        draft.found(draft.items())
    for item in draft.items():
        draft.join(item, roots[0])


def _dissolve(draft: LevelDraft) -> None:
    """Takes away the groups that are left with less than two members; where the level below is a single node, with
    none."""
    least = min(2, len(draft.below))
    for group in draft.groups():
        if len(draft.members[group]) < least:
            draft.drop(group)


def _trim_guests(draft: LevelDraft) -> None:
    """Soft members, the weakest first, give way to the budget."""
    for group in [g for g in draft.groups() if draft.guests[g]]:
        guests = draft.guests[group]
        room = draft.budget - draft.tokens(group)
        for item in sorted(guests, key=lambda i: (-guests[i], draft.below.nodes.keys[i])):
            room -= int(draft.below.cost[item])
            if room < 0:
                del guests[item]


def _planned(step: Step, draft: LevelDraft) -> LevelPlan:
    below, old = draft.below, step.old
    first = {group: min(below.reading[i] for i in members) for group, members in draft.members.items()}
    keys = tuple(sorted(first, key=lambda group: first[group]))
    before = dict(zip(old.nodes.keys, old.born, strict=True)) if old is not None else {}
    write = tuple(i for i, key in enumerate(keys) if key in draft.paid)
    groups = tuple(group_of(draft.members[key], draft.guests[key], below.reading) for key in keys)
    return LevelPlan(
        number=step.number,
        keys=keys,
        groups=groups,
        told=tuple(
            _told(step, group) if key in draft.paid else draft.told[key]
            for key, group in zip(keys, groups, strict=True)
        ),
        born=tuple(before.get(key, draft.generation) for key in keys),
        write=write,
        reasons=_reasons(draft, [keys[i] for i in write]),
        relinked=tuple(i for i, key in enumerate(keys) if key not in draft.paid and draft.relinked(key)),
        gone=tuple(sorted(before.keys() - draft.members.keys())),
    )


def _reasons(draft: LevelDraft, groups: list[str]) -> tuple[Reason, ...]:
    behind = set(draft.lagging([group for group in groups if group in draft.told]))

    def reason(group: str) -> Reason:
        if draft.is_new(group):
            return "new"
        if group in draft.stale:
            return "removed"
        if group not in draft.told:
            return "waiting"
        return "behind" if group in behind else "regrouped"

    return tuple(map(reason, groups))


def _told(step: Step, group: Group) -> IntArray:
    """The leaves that a text written now is written from: those that its members' texts were."""
    members = np.array(group.members, np.int64)
    if not step.levels:
        return np.sort(members)
    return np.unique(np.concatenate([step.levels[-1].told[member] for member in members]))
