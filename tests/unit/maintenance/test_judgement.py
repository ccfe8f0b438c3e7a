"""When a maintained tree is worth clustering anew, and what an unlawful one is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.clustering import Frontier, Group
from services.maintenance import LiveTree, MaintenanceParams, TreeLevel, clustering_due, regret, violations
from tests.synthetic_vectors import planted
from tests.unit.maintenance.corpus import document, leaves, shape
from tests.unit.maintenance.synchronous_tree import clustered
from tests.unit.maintenance.synthetic import passages


@pytest.fixture(scope="module")
def tree() -> LiveTree:
    return clustered(leaves([p for i in range(20) for p in document(f"doc {i:03d}", 8)]), shape())


def test_leaves_in_the_wrong_groups_are_regretted() -> None:
    nodes = passages(planted(600, dimensions=64))
    made = clustered(nodes, shape())
    groups = made.levels[0].groups
    rng = np.random.default_rng(0)
    shares = []
    for moved in (0, 60, 180):
        place = np.arange(600)
        some = rng.choice(600, moved, replace=False)
        place[some] = rng.permutation(place[some])
        mixed = [replace(group, members=tuple(int(place[m]) for m in group.members)) for group in groups]
        shares.append(regret(nodes, mixed, shape()))
    assert shares[0] == made.yardstick.regret
    assert shares[0] + 0.05 < shares[1] < shares[2] - 0.1


def test_leaves_whose_window_is_torn_are_regretted_by_reading_order() -> None:
    nodes = leaves(document("a", 21))
    windows = [Group(tuple(range(i, i + 7)), (1.0,) * 7, (True,) * 7) for i in (0, 7, 14)]
    assert regret(nodes, windows, shape("contiguous")) == 0
    torn = [replace(windows[0], members=(0, 1, 2, 3, 4, 5, 7)), replace(windows[1], members=(6, *range(8, 14)))]
    assert regret(nodes, [*torn, windows[2]], shape("contiguous")) == pytest.approx(14 / 21)


def test_regret_is_asked_of_a_sample_that_stays() -> None:
    """Of 2,600 leaves 2,000 are asked, the same ones whatever order they come in."""
    nodes = passages(planted(2600, dimensions=16))
    groups = [Group(tuple(range(i, i + 13)), (1.0,) * 13, (True,) * 13) for i in range(0, 2600, 13)]
    back = np.arange(2600)[::-1]
    turned = Frontier(
        vectors=type(nodes.vectors).of(nodes.vectors.rows(back)),
        tokens=nodes.tokens,
        keys=[nodes.keys[i] for i in back],
        order=[nodes.order[i] for i in back],
        paths=nodes.paths,
    )
    there = [replace(group, members=tuple(2599 - member for member in group.members)) for group in groups]
    assert regret(turned, there, shape()) == pytest.approx(regret(nodes, groups, shape()), abs=1e-9)


def test_a_full_clustering_is_due_for_a_large_batch_for_regret_and_for_growth(tree: LiveTree) -> None:
    params = MaintenanceParams(batch=0.3, regret=0.04)
    fit, count = tree.yardstick.regret, len(tree.leaves)
    assert clustering_due(tree, params, fit, changed=int(0.3 * count)) is None
    assert clustering_due(tree, params, fit, changed=int(0.3 * count) + 1) == "batch"
    assert clustering_due(tree, params, fit + 0.03) is None
    assert clustering_due(tree, params, fit + 0.05) == "regret"
    small = replace(tree, yardstick=replace(tree.yardstick, leaves=count // 2 - 1))
    assert clustering_due(small, params, fit) == "growth"


def test_a_tree_that_was_just_clustered_is_lawful(tree: LiveTree) -> None:
    assert violations(tree, shape(), MaintenanceParams(lag=0)) == []


def first(tree: LiveTree, **fields: object) -> LiveTree:
    """The tree with other fields in its first level."""
    level = tree.levels[0]
    plain = {"nodes": level.nodes, "groups": level.groups, "told": level.told, "born": level.born}
    return replace(tree, levels=(TreeLevel(**(plain | fields)), *tree.levels[1:]))  # type: ignore[arg-type]


def told(tree: LiveTree) -> list[str]:
    return violations(tree, shape(), MaintenanceParams())


def test_what_is_unlawful_is_told(tree: LiveTree) -> None:
    level = tree.levels[0]
    some, other, *rest = level.groups
    lost = Group(some.members[1:], some.weights[1:], some.primary[1:])
    twice = Group((*other.members, some.members[0]), (*other.weights, 1.0), (*other.primary, True))
    assert "is in 0 groups" in told(first(tree, groups=(lost, other, *rest)))[0]
    assert "is in 2 groups" in told(first(tree, groups=(some, twice, *rest)))[0]
    assert "has not seen 1 of" in told(first(tree, told=(level.told[0][1:], *level.told[1:])))[0]
    gone = np.append(level.told[0], len(tree.leaves))
    assert "tells of a leaf that is not there" in told(first(tree, told=(gone, *level.told[1:])))[0]
    assert told(replace(tree, levels=tree.levels[:1])) == ["there is no root"]
    tight = violations(tree, shape(token_budget=300), MaintenanceParams())
    assert any("over the token budget" in word for word in tight)


def test_a_group_of_one_is_unlawful(tree: LiveTree) -> None:
    some, other, *rest = tree.levels[0].groups
    one = Group(some.members[:1], (1.0,), (True,))
    others = Group(
        (*other.members, *some.members[1:]),
        (1.0,) * (len(other.members) + len(some.members) - 1),
        (True,) * (len(other.members) + len(some.members) - 1),
    )
    assert any("has 1 members of its own" in word for word in told(first(tree, groups=(one, others, *rest))))
