"""What a change does to a tree, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from services.clustering import Frontier, InvalidGrouping, InvalidVector
from services.maintenance import (
    LiveTree,
    MaintenanceParams,
    Written,
    advance,
    begin,
    continued,
    finish,
    plan_level,
    violations,
)
from tests.unit.maintenance.corpus import Living, Passage, document, leaves, shape
from tests.unit.maintenance.synchronous_tree import drifting_means, frontier


def passages(documents: int, each: int) -> list[Passage]:
    return [passage for i in range(documents) for passage in document(f"doc {i:03d}", each)]


def living(some: list[Passage], grouper: str = "umap_gmm", **params: float) -> Living:
    return Living.of(leaves(some), shape(grouper), MaintenanceParams(**params))


def members(tree: LiveTree) -> dict[str, list[str]]:
    """The keys of each first-level group's members."""
    level, keys = tree.levels[0], tree.leaves.keys
    return {
        key: [keys[member] for member in group.members]
        for key, group in zip(level.nodes.keys, level.groups, strict=True)
    }


def test_without_a_change_nothing_is_written_and_nothing_differs() -> None:
    tree = living(passages(20, 8))
    before = tree.tree
    run = tree.become(before.leaves)
    assert run.written == 0
    assert [level.nodes.keys for level in tree.tree.levels] == [level.nodes.keys for level in before.levels]
    assert [level.groups for level in tree.tree.levels] == [level.groups for level in before.levels]
    assert tree.tree.generation == before.generation + 1


def test_groups_that_a_change_does_not_touch_keep_identity_members_and_text() -> None:
    some = passages(20, 8)
    tree = living(some)
    before = members(tree.tree)
    run = tree.become(leaves([*some, *document("new", 3)]))
    after = members(tree.tree)
    plan = run.plans[0]
    touched = {plan.keys[i] for i in plan.write}
    assert 1 <= len(touched) <= 3
    assert {key: after[key] for key in after.keys() - touched} == {
        key: before[key] for key in before.keys() - touched - set(plan.gone)
    }


def test_a_new_leaf_joins_passages_like_it() -> None:
    some = passages(20, 8)
    tree = living(some, price=0.0)
    tree.become(leaves([*some, ("doc 003", 90)]))
    group = next(group for group in members(tree.tree).values() if "doc 003/90" in group)
    assert sum(key.startswith("doc 003") for key in group) > len(group) / 2


def test_first_level_texts_are_fresh_and_upper_ones_lag_within_their_bound() -> None:
    some = passages(30, 8)
    eager, lazy = living(some, lag=0.0), living(some, lag=0.2)
    now = leaves([*some, ("doc 003", 90)])
    told = [run.become(now) for run in (eager, lazy)]
    assert all(plan.write for plan in told[0].plans), "the whole path"
    assert told[1].plans[0].write
    assert not any(plan.write for plan in told[1].plans[1:])


def test_a_text_that_tells_of_a_removed_leaf_is_written_again_though_the_leaf_had_moved_away() -> None:
    """A summary that lagged behind a move tells of a leaf that is no longer under it."""
    some = passages(12, 8)
    tree = living(some, lag=0.5)
    level = tree.tree.levels[1]
    strays = {
        key: min(set(range(len(some))) - set(told.tolist()), default=-1)
        for key, told in zip(level.nodes.keys, level.told, strict=True)
    }
    key, stray = next((key, stray) for key, stray in strays.items() if stray >= 0)
    _tell(tree.tree, key, stray)
    run = tree.become(leaves([passage for i, passage in enumerate(some) if i != stray]))
    plan = run.plans[1]
    assert plan.reasons[plan.write.index(plan.keys.index(key))] == "removed"


def _tell(tree: LiveTree, key: str, leaf: int) -> None:
    """Makes a text tell of one more leaf."""
    level = tree.levels[1]
    told = list(level.told)
    at = level.nodes.keys.index(key)
    told[at] = np.sort(np.append(told[at], leaf))
    object.__setattr__(level, "told", tuple(told))


def test_a_changed_passage_costs_the_texts_that_told_of_it() -> None:
    some = passages(30, 8)
    tree = living(some)
    told = sum("doc 007/4" in text for key, text in tree.texts.items() if key != "doc 007/4")
    now = [passage for passage in some if passage != ("doc 007", 4)]
    run = tree.become(leaves([*now, ("doc 007", 40)]))
    assert run.written <= told + 1


def test_passages_that_stay_in_a_changed_document_keep_their_groups_wherever_they_stand() -> None:
    some = passages(20, 8)
    tree = living(some)
    before = tree.tree
    order = [(name, number + 1) for name, number in some]
    moved = frontier(before.leaves.vectors.rows(np.arange(len(some))), before.leaves.keys, order)
    run = tree.become(moved)
    assert run.written == 0
    assert members(tree.tree) == members(before)


def test_unchanged_passages_of_a_document_are_known_again() -> None:
    assert continued(["a", "b", "c"], ["a", "x", "c"]) == [0, None, 2]
    assert continued(["a", "b"], ["new", "a", "b"]) == [None, 0, 1]
    assert continued(["a", "b", "c"], ["c", "a", "b"]) == [2, 0, 1], "a passage that was moved is the same passage"
    assert continued(["a", "a"], ["a", "a", "a"]) == [0, 1, None], "each passage is one at most"
    assert continued([], ["a"]) == [None]


def test_a_text_that_could_not_be_written_waits_and_is_asked_for_again() -> None:
    some, params = passages(20, 8), MaintenanceParams(lag=0.0)
    tree = living(some, lag=0.0)
    now = leaves([*some, *document("new", 2)])
    waiting = _maintained_without_texts(tree.tree, now, params)
    assert violations(waiting, shape(), params) == [], "lawful: it waits, and is known to"
    unwritten = {
        key for level in waiting.levels for key, told in zip(level.nodes.keys, level.told, strict=True) if not len(told)
    }
    assert unwritten
    tree.tree = waiting
    step = begin(waiting, now, shape(), params)
    asked: set[str] = set()
    while not step.finished:
        plan = plan_level(step)
        asked |= {plan.keys[i] for i, reason in zip(plan.write, plan.reasons, strict=True) if reason == "waiting"}
        step = advance(step, plan, _written(step.levels[-1].nodes if step.levels else now, plan))
    assert asked == unwritten
    assert all(len(told) for level in finish(step).levels for told in level.told)


def _written(below: Frontier, plan: object) -> Written:
    return drifting_means(below, [plan.groups[i] for i in plan.write])  # type: ignore[attr-defined]


def _maintained_without_texts(tree: LiveTree, now: Frontier, params: MaintenanceParams) -> LiveTree:
    step = begin(tree, now, shape(), params)
    while not step.finished:
        plan = plan_level(step)
        written = _written(step.levels[-1].nodes if step.levels else now, plan)
        vectors = np.full_like(written.vectors, np.nan)
        step = advance(step, plan, Written(vectors, written.tokens, frozenset(range(len(plan.write)))))
    return finish(step)


def test_a_tree_stops_growing_at_its_cap_and_keeps_its_root() -> None:
    some = passages(30, 8)
    tree = Living.of(leaves(some), shape(levels_cap=1), MaintenanceParams())
    root = tree.tree.levels[-1].nodes.keys
    tree.become(leaves([*some, *document("new", 9)]))
    assert len(tree.tree.levels) == 2
    assert tree.tree.levels[-1].nodes.keys == root


def test_what_makes_no_sense_is_refused() -> None:
    some = passages(4, 6)
    tree = living(some).tree
    step = begin(tree, tree.leaves, shape(), MaintenanceParams())
    plan = plan_level(begin(tree, leaves(some[1:]), shape(), MaintenanceParams()))
    with pytest.raises(InvalidGrouping, match="texts were to be written"):
        advance(step, plan, Written(np.empty((0, 16), np.float32), np.empty(0, np.int64)))
    with pytest.raises(InvalidGrouping, match="not planned yet"):
        finish(step)
    with pytest.raises(InvalidGrouping, match="another length"):
        begin(tree, frontier(np.eye(3, dtype=np.float32), ["a", "b", "c"], some[:3]), shape(), MaintenanceParams())
    with pytest.raises(InvalidGrouping, match="not maintained"):
        plan_level(begin(tree, tree.leaves, shape("alphabet"), MaintenanceParams()))
    broken = leaves([*some, ("new", 0)])
    assert broken.vectors.array is not None
    broken.vectors.array[-1] = np.nan
    with pytest.raises(InvalidVector, match="new/0"):
        plan_level(begin(tree, broken, shape(), MaintenanceParams()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("price", -0.1),
        ("price", float("nan")),
        ("price", 1e308),
        ("lag", 0.6),
        ("lag", "0.1"),
        ("regret", -1),
        ("batch", 2),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidGrouping, match=name):
        MaintenanceParams(**{name: value})
