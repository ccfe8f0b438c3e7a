from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.clustering.budget import Proposal, repair
from services.clustering.canonical import Members


def on_a_circle(*degrees: float) -> NDArray[np.float32]:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def proposal(*members: int, weights: list[float] | None = None) -> Proposal:
    return Proposal(np.array(members, np.int64), np.array(weights or [1.0] * len(members)))


def repaired(
    proposals: list[Proposal], rows: NDArray[np.float32], cost: int | list[int] = 1, budget: int = 100
) -> list[list[int]]:
    return sorted(group.members.tolist() for group in groups_of(proposals, rows, cost, budget))


def groups_of(
    proposals: list[Proposal], rows: NDArray[np.float32], cost: int | list[int] = 1, budget: int = 100
) -> list[Members]:
    n = len(rows)
    return repair(proposals, rows, np.broadcast_to(np.asarray(cost), (n,)).astype(np.int64), np.arange(n), budget)


def test_what_keeps_the_promises_is_left_alone() -> None:
    assert repaired([proposal(0, 1), proposal(2, 3)], on_a_circle(0, 5, 90, 95)) == [[0, 1], [2, 3]]


def test_a_lone_node_joins_the_nearest_group() -> None:
    assert repaired([proposal(0, 1), proposal(2, 3), proposal(4)], on_a_circle(0, 5, 90, 95, 70)) == [[0, 1], [2, 3, 4]]


def test_two_lone_nodes_that_are_nearest_to_each_other_become_a_pair() -> None:
    rows = on_a_circle(0, 5, 180, 200)
    assert repaired([proposal(0, 1), proposal(2), proposal(3)], rows) == [[0, 1], [2, 3]]


def test_a_node_that_was_forgotten_is_taken_in() -> None:
    assert repaired([proposal(0, 1), proposal(2, 3)], on_a_circle(0, 5, 90, 95, 94)) == [[0, 1], [2, 3, 4]]


def test_a_node_belongs_first_where_its_weight_is_greatest() -> None:
    shared = [proposal(0, 1, 2, weights=[1, 1, 0.4]), proposal(2, 3, 4, weights=[0.6, 1, 1])]
    first, second = groups_of(shared, on_a_circle(0, 5, 45, 90, 95))
    assert first.primary.tolist() == [True, True, False]
    assert second.primary.tolist() == [True, True, True]
    assert first.weights.tolist() == [1, 1, 0.4]


def test_a_group_without_any_primary_member_is_no_group() -> None:
    shared = [proposal(0, 1), proposal(2, 3), proposal(0, 3, weights=[0.5, 0.5])]
    assert repaired(shared, on_a_circle(0, 5, 90, 95)) == [[0, 1], [2, 3]]


def test_over_the_budget_the_weakest_guests_leave_first() -> None:
    crowded = [proposal(0, 1, 2, 3, weights=[1, 1, 0.2, 0.4]), proposal(2, 3, 4)]
    rows = on_a_circle(0, 5, 30, 35, 40)
    assert repaired(crowded, rows, budget=4) == [[0, 1, 2, 3], [2, 3, 4]]
    assert repaired(crowded, rows, budget=3) == [[0, 1, 3], [2, 3, 4]]


def test_a_group_too_long_without_guests_is_cut_across_its_longest_axis() -> None:
    rows = on_a_circle(0, 1, 2, 60, 61, 62)
    assert repaired([proposal(0, 3, 1, 4, 2, 5)], rows, budget=5) == [[0, 1, 2], [3, 4, 5]]


def test_long_texts_end_in_twos_and_threes() -> None:
    groups = repaired([proposal(*range(31))], on_a_circle(*range(31)), cost=33, budget=100)
    assert sorted(i for group in groups for i in group) == list(range(31))
    assert {len(group) for group in groups} <= {2, 3}


def test_groups_of_the_same_members_become_one() -> None:
    twice = [proposal(0, 1, 2, 3, weights=[1, 1, 0.3, 0.3]), proposal(0, 1, 2, 3, weights=[0.3, 0.3, 1, 1])]
    (group,) = groups_of(twice, on_a_circle(0, 5, 10, 15))
    assert group.primary.all()
    assert group.weights.tolist() == [1, 1, 1, 1]


def test_copies_in_any_number_are_cut_within_the_budget() -> None:
    groups = groups_of([proposal(*range(2000))], np.ones((2000, 4), np.float32), cost=10, budget=100)
    assert all(2 <= len(group.members) <= 10 for group in groups)
