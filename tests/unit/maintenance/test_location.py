from __future__ import annotations

import math
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from services.maintenance.location import Site, Taken, located


def site(distances: dict[int, float], *path: int, room: int = 9) -> Site:
    items = sorted(distances, key=lambda item: (distances[item], item))
    return Site(tuple(items), tuple(distances[item] for item in items), path, room)


def where(taken: list[Taken]) -> dict[int, int]:
    return {item: of.site for of in taken for item in of.items}


def test_where_writing_costs_nothing_items_go_to_the_nearest_site() -> None:
    sites = [site({0: 0.1, 1: 0.9}, 0), site({0: 0.8, 1: 0.2}, 1)]
    assert where(located(sites, [1, 1], {0: 0, 1: 0}, 0.0)) == {0: 0, 1: 1}


def test_where_writing_is_dear_items_share_a_site() -> None:
    sites = [site({0: 0.1, 1: 0.5}, 0), site({0: 0.6, 1: 0.2}, 1)]
    assert where(located(sites, [1, 1], {0: 0, 1: 0}, 5.0)) == {0: 0, 1: 0}


def test_what_is_written_anyway_takes_items_for_nothing() -> None:
    sites = [site({0: 0.1}, 0), site({0: 0.4}, 1)]
    assert where(located(sites, [1], {0: 0, 1: math.inf}, 0.5)) == {0: 1}


def test_a_summary_above_two_sites_is_paid_once() -> None:
    """Site 1 costs its own summary and that above it; after item 0 went to site 0, the one above is paid."""
    sites = [site({0: 0.0}, 0, 9), site({1: 0.3}, 1, 9), site({1: 0.9}, 2)]
    slack = {0: 0.0, 1: 0.0, 2: 0.0, 9: 0.0}
    assert where(located(sites, [1, 1], dict(slack), 0.5)) == {0: 0, 1: 1}
    alone = [site({0: 0.3}, 1, 9), site({0: 0.6}, 2)]
    assert where(located(alone, [1], dict(slack), 0.5)) == {0: 1}


def test_a_summary_that_may_lag_takes_leaves_for_nothing_until_it_is_full() -> None:
    sites = [site({0: 0.1, 1: 0.1}, 0), site({0: 0.3, 1: 0.3}, 1)]
    assert where(located(sites, [1, 1], {0: 2, 1: math.inf}, 1.0)) == {0: 0, 1: 0}
    assert where(located(sites, [1, 1], {0: 1, 1: math.inf}, 1.0)) == {0: 0, 1: 1}


def test_a_full_site_is_dearer_by_a_summary() -> None:
    sites = [site({0: 0.1, 1: 0.2}, 0, room=1), site({0: 0.5, 1: 0.5}, 1)]
    assert where(located(sites, [1, 1], {0: math.inf, 1: math.inf}, 1.0)) == {0: 0, 1: 1}


def test_new_items_found_a_site_of_their_own_only_together() -> None:
    sites = [site({0: 0.9, 1: 0.9, 2: 0.1}, 0), Site((0, 1), (0.1, 0.1), (), opening=1, whole=True)]
    assert where(located(sites, [1, 1, 1], {0: math.inf}, 0.3)) == {0: 1, 1: 1, 2: 0}
    assert where(located(sites, [1, 1, 1], {0: math.inf}, 3.0)) == {0: 0, 1: 0, 2: 0}


@given(
    distances=st.lists(st.lists(st.floats(0, 2), min_size=3, max_size=3), min_size=1, max_size=5),
    price=st.floats(0, 1),
)
def test_every_item_is_placed_once_and_at_no_more_than_three_times_the_least_cost(
    distances: list[list[float]], price: float
) -> None:
    """The greedy rule is within a factor of 1.861 of the best (Jain et al. 2003); the bound here is generous."""
    sites = [site({i: row[s] for i, row in enumerate(distances)}, s) for s in range(3)]
    placed = where(located(sites, [1] * len(distances), dict.fromkeys(range(3), 0.0), price))
    assert sorted(placed) == list(range(len(distances)))

    def cost(choice: tuple[int, ...]) -> float:
        return sum(distances[i][s] for i, s in enumerate(choice)) + price * len(set(choice))

    best = min(cost(choice) for choice in product(range(3), repeat=len(distances)))
    assert cost(tuple(placed[i] for i in range(len(distances)))) <= 1.861 * best + 1e-9
