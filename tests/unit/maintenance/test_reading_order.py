"""Trees whose groups follow the documents: new passages find their place by reading order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from services.clustering import Frontier, GroupingParams
from services.maintenance import MaintenanceParams, Shape
from tests.unit.maintenance.corpus import Living, Passage, document, leaves
from tests.unit.maintenance.synchronous_tree import frontier

Node = tuple[str, int, str]  # document, place, section


def groups(living: Living) -> list[list[str]]:
    level, keys = living.tree.levels[0], living.tree.leaves.keys
    return [[keys[member] for member in group.members] for group in level.groups]


def contiguous(some: Iterable[Passage]) -> Living:
    return Living.of(leaves(some), Shape("contiguous"), MaintenanceParams())


def test_a_passage_joins_its_neighbours_and_no_other_text_of_the_level_is_written() -> None:
    some = [("a", 10 * i) for i in range(14)] + [("b", 10 * i) for i in range(7)]
    living = contiguous(some)
    run = living.become(leaves([*some, ("a", 35)]))
    assert groups(living) == [
        ["a/0", "a/10", "a/20", "a/30", "a/35", "a/40", "a/50", "a/60"],
        [f"a/{10 * i}" for i in range(7, 14)],
        [f"b/{10 * i}" for i in range(7)],
    ]
    assert [run.plans[0].keys[i] for i in run.plans[0].write] == [run.plans[0].keys[0]]


def test_passages_that_come_together_join_one_group() -> None:
    some = [("a", 10 * i) for i in range(14)]
    living = contiguous(some)
    living.become(leaves([*some, ("a", 61), ("a", 62), ("a", 63)]))
    assert [len(group) for group in groups(living)] == [10, 7]
    assert groups(living)[0][-3:] == ["a/61", "a/62", "a/63"]


def test_a_new_document_gets_windows_of_its_own() -> None:
    some = [*document("a", 7), *document("c", 7)]
    living = contiguous(some)
    run = living.become(leaves([*some, *document("b", 10)]))
    assert [len(group) for group in groups(living)] == [7, 5, 5, 7]
    assert len(run.plans[0].write) == 2


def test_a_document_of_one_passage_joins_its_neighbour() -> None:
    some = [*document("a", 3), *document("c", 7)]
    living = contiguous(some)
    living.become(leaves([*some, ("b", 0)]))
    assert groups(living)[0] == ["a/0", "a/1", "a/2", "b/0"], "the smaller of the two"


def test_a_long_insertion_becomes_windows_of_its_own() -> None:
    some = [("a", 100 * i) for i in range(14)]
    living = contiguous(some)
    run = living.become(leaves([*some, *(("a", 301 + i) for i in range(9))]))
    assert sorted(len(group) for group in groups(living)) == [4, 5, 7, 7]
    assert len(run.plans[0].write) == 2


def test_a_window_that_has_grown_too_long_is_cut_in_reading_order() -> None:
    some = [("a", 100 * i) for i in range(7)]
    living = contiguous(some)
    living.become(leaves([*some, *(("a", 301 + i) for i in range(4))]))
    keys = [("a", n) for n in (0, 100, 200, 300, 301, 302, 303, 304, 400, 500, 600)]
    assert groups(living) == [[f"a/{n}" for _, n in keys[:6]], [f"a/{n}" for _, n in keys[6:]]]


def test_short_neighbours_that_are_written_anyway_become_one() -> None:
    some = document("a", 14)
    living = contiguous(some)
    run = living.become(leaves([p for p in some if p[1] in {0, 1, 2, 7, 8, 9, 10}]))
    assert [len(group) for group in groups(living)] == [7]
    assert run.written == 1


def sections(nodes: Iterable[Node]) -> Frontier:
    some = sorted(nodes)
    rows = np.random.default_rng(0).standard_normal((len(some), 8)).astype(np.float32)
    order = [(document, place) for document, place, _ in some]
    return frontier(rows, [f"{d}/{p}" for d, p in order], order, None, [(section,) for _, _, section in some])


def test_a_passage_joins_its_section() -> None:
    some = [("a", i, "one") for i in range(0, 80, 10)] + [("a", i, "two") for i in range(80, 180, 10)]
    living = Living.of(sections(some), Shape("headings", GroupingParams()), MaintenanceParams())
    assert [len(group) for group in groups(living)] == [8, 10]
    living.become(sections([*some, ("a", 75, "two"), ("a", 76, "two")]))
    assert [len(group) for group in groups(living)] == [8, 12]
    assert groups(living)[1][:2] == ["a/75", "a/76"]
