from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.clustering.grouping import InvalidGrouping
from services.clustering.operations import Level, dissolve, merge, move, place, resummarise_path, split

LEVEL: Level = {"east": frozenset({"a", "b"}), "north": frozenset({"c", "d"}), "west": frozenset({"e"})}
MEANS = {
    "east": np.array([1, 0], np.float32),
    "north": np.array([0, 1], np.float32),
    "west": np.array([-1, 0], np.float32),
}


def at(degrees: float) -> NDArray[np.float32]:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def members(level: Level) -> list[str]:
    return sorted(member for group in level.values() for member in group)


def test_where_writing_costs_nothing_items_go_to_the_nearest_group() -> None:
    placed = place(LEVEL, {"x": at(10), "y": at(80), "z": at(170)}, MEANS, {})
    assert placed == {"east": {"a", "b", "x"}, "north": {"c", "d", "y"}, "west": {"e", "z"}}


def test_where_writing_is_dear_items_share_a_group_that_is_written_anyway() -> None:
    dear = dict.fromkeys(LEVEL, 5.0) | {"north": 0.0}
    assert place(LEVEL, {"x": at(30), "y": at(60)}, MEANS, dear)["north"] == {"c", "d", "x", "y"}


def test_a_price_is_paid_once_for_all_items_that_share_it() -> None:
    items = {f"x{i}": at(180) for i in range(10)}
    placed = place(LEVEL, items, MEANS, {"west": 3.0, "east": 50.0, "north": 0.0})
    assert placed["west"] == {"e", *items}, "one alone would be cheaper off at north (distance 2 against a price of 3)"
    assert place(LEVEL, {"x": at(180)}, MEANS, {"west": 3.0, "east": 50.0})["north"] == {"c", "d", "x"}


def test_a_group_that_is_written_for_one_item_is_free_for_the_next() -> None:
    level: Level = {"left": frozenset({"a"}), "right": frozenset({"b"})}
    means = {"left": np.array([0], np.float32), "right": np.array([4], np.float32)}
    items = {name: np.array([where], np.float32) for name, where in (("x", 0), ("y", 0), ("z", 1.9))}
    assert place(level, items, means, {"left": 3.0})["left"] == {"a", "x", "y", "z"}
    assert place(level, {"z": items["z"]}, means, {"left": 3.0})["right"] == {"b", "z"}


@given(angles=st.lists(st.floats(0, 360), max_size=8), prices=st.lists(st.floats(0, 9), min_size=3, max_size=3))
def test_placing_loses_nobody_and_moves_nobody(angles: list[float], prices: list[float]) -> None:
    items = {f"x{i}": at(angle) for i, angle in enumerate(angles)}
    placed = place(LEVEL, items, MEANS, dict(zip(LEVEL, prices, strict=True)))
    assert members(placed) == sorted([*members(LEVEL), *items])
    assert all(LEVEL[group] <= placed[group] for group in LEVEL)
    backwards = dict(reversed(list(items.items())))
    assert placed == place(dict(reversed(list(LEVEL.items()))), backwards, MEANS, dict(zip(LEVEL, prices, strict=True)))


def test_a_placed_item_is_not_placed_again_and_an_empty_level_takes_none() -> None:
    with pytest.raises(InvalidGrouping):
        place(LEVEL, {"a": at(0)}, MEANS, {})
    with pytest.raises(InvalidGrouping):
        place({}, {"x": at(0)}, {}, {})


def test_a_move_and_the_way_back_change_nothing() -> None:
    moved = move(LEVEL, "a", "north")
    assert moved == {"east": {"b"}, "north": {"a", "c", "d"}, "west": {"e"}}
    assert move(moved, "a", "east") == LEVEL
    assert move(LEVEL, "e", "east").keys() == {"east", "north"}, "a group left empty is gone"


def test_a_split_and_a_merge_undo_each_other() -> None:
    parted = split(LEVEL, "north", {"d"}, "south")
    assert parted["north"] == {"c"}
    assert parted["south"] == {"d"}
    assert merge(parted, "north", "south") == LEVEL


def test_the_members_of_a_dissolved_group_wait_to_be_placed() -> None:
    level, orphans = dissolve(LEVEL, "east")
    assert orphans == {"a", "b"}
    assert members(level) == ["c", "d", "e"]
    assert members(place(level, {key: at(0) for key in orphans}, MEANS, {})) == members(LEVEL)


def test_operations_on_what_is_not_there_are_refused() -> None:
    for attempt in (
        lambda: move(LEVEL, "a", "nowhere"),
        lambda: move(LEVEL, "nobody", "east"),
        lambda: split(LEVEL, "east", {"a", "b"}, "new"),
        lambda: split(LEVEL, "east", {"c"}, "new"),
        lambda: split(LEVEL, "east", {"a"}, "west"),
        lambda: merge(LEVEL, "east", "east"),
        lambda: merge(LEVEL, "east", "nowhere"),
        lambda: dissolve(LEVEL, "nowhere"),
    ):
        with pytest.raises(InvalidGrouping):
            attempt()


TREE: list[Level] = [
    {
        "s1": frozenset({"a", "b"}),
        "s2": frozenset({"c", "d"}),
        "s3": frozenset({"e", "f"}),
        "s4": frozenset({"g", "h"}),
    },
    {"t1": frozenset({"s1", "s2"}), "t2": frozenset({"s3", "s4"})},
    {"root": frozenset({"t1", "t2"})},
]


def told_of(levels: list[Level]) -> Mapping[str, frozenset[str]]:
    told: dict[str, frozenset[str]] = {}
    for height, level in enumerate(levels):
        for group, below in level.items():
            told[group] = below if height == 0 else frozenset().union(*(told[member] for member in below))
    return told


def test_a_fresh_tree_needs_no_summary() -> None:
    assert resummarise_path(TREE, told_of(TREE)) == [[], [], []]


def test_a_new_leaf_makes_its_path_stale_and_nothing_else() -> None:
    levels = [{**TREE[0], "s3": TREE[0]["s3"] | {"new"}}, *TREE[1:]]
    assert resummarise_path(levels, told_of(TREE)) == [["s3"], ["t2"], ["root"]]


def test_upper_summaries_may_lag_behind_by_a_share_of_their_leaves() -> None:
    levels = [{**TREE[0], "s3": TREE[0]["s3"] | {"new"}}, *TREE[1:]]
    assert resummarise_path(levels, told_of(TREE), lag=0.15) == [["s3"], ["t2"], []]  # 1 of 5 leaves, 1 of 9
    assert resummarise_path(levels, told_of(TREE), lag=0.25) == [["s3"], [], []]


def test_a_text_that_tells_of_a_removed_leaf_is_written_again_though_the_leaf_had_moved_away() -> None:
    told = told_of(TREE)
    moved = [{**TREE[0], "s1": frozenset({"a"}), "s2": frozenset({"b", "c", "d"})}, *TREE[1:]]
    gone = [{**TREE[0], "s1": frozenset({"a"})}, *TREE[1:]]
    assert resummarise_path(moved, told, lag=0.9) == [["s1", "s2"], [], []]
    told_after_the_move = {**told, "s2": frozenset({"b", "c", "d"})}  # s1 was left for later
    assert resummarise_path(gone, told_after_the_move, removed={"b"}, lag=0.9) == [["s1", "s2"], ["t1"], ["root"]]


def test_a_new_group_and_a_named_one_are_written() -> None:
    told = {group: leaves for group, leaves in told_of(TREE).items() if group != "t2"}
    assert resummarise_path(TREE, told, changed=["s4"]) == [["s4"], ["t2"], []]
