"""The groupers that follow the documents: contiguous, headings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from services.clustering import Frontier, GroupingParams, Matrix, load_grouper

Node = tuple[str, tuple[str, ...]]  # document, heading path


async def at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def grouped(name: str, nodes: Sequence[Node], tokens: int = 100, **params: int) -> list[list[int]]:
    n = len(nodes)
    frontier = Frontier(
        vectors=Matrix.of(np.random.default_rng(0).standard_normal((n, 8))),
        tokens=np.full(n, tokens),
        keys=[f"{(i * 37) % 1000:03d}" for i in range(n)],
        order=[(document, i) for i, (document, _) in enumerate(nodes)],
        paths=[path for _, path in nodes],
    )
    grouping = asyncio.run(load_grouper(name)(frontier, GroupingParams(**params), at_once))
    return [list(group.members) for group in grouping.groups]


def plain(*lengths: int) -> list[Node]:
    return [(f"doc {d}", ()) for d, length in enumerate(lengths) for _ in range(length)]


def test_windows_are_neighbours_of_about_equal_number() -> None:
    assert grouped("contiguous", plain(15)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]


def test_windows_end_where_a_document_ends() -> None:
    assert grouped("contiguous", plain(3, 9)) == [[0, 1, 2], [3, 4, 5, 6, 7], [8, 9, 10, 11]]


def test_documents_of_one_node_share_windows() -> None:
    assert grouped("contiguous", plain(1, 1, 1)) == [[0, 1, 2]]
    assert grouped("contiguous", plain(1, 4, 1, 3)) == [[0, 1, 2, 3, 4, 5], [6, 7, 8]]


def test_windows_of_long_texts_are_shorter() -> None:
    assert grouped("contiguous", plain(6), tokens=1000) == [[0, 1, 2], [3, 4, 5]]


def section(*path: str, count: int = 1, document: str = "doc") -> list[Node]:
    return [(document, path)] * count


def test_a_section_that_fits_stays_whole_with_its_subsections() -> None:
    nodes = [*section("a", count=2), *section("a", "a1", count=3), *section("b", count=12), *section("c", count=9)]
    assert [len(group) for group in grouped("headings", nodes)] == [5, 12, 9]


def test_a_section_too_large_is_cut_at_its_subsections() -> None:
    nodes = [*section("a", "a1", count=10), *section("a", "a2", count=9), *section("b", count=2)]
    assert [len(group) for group in grouped("headings", nodes)] == [10, 9, 2]


def test_a_section_too_large_without_subsections_is_cut_evenly() -> None:
    assert [len(group) for group in grouped("headings", section("a", count=30))] == [10, 10, 10]


def test_sections_of_one_node_join_their_neighbour_under_the_same_heading() -> None:
    nodes = [
        *section("a", "a1", count=8),
        *section("a", "a2"),
        *section("a", "a3", count=8),
        *section("b", "b1", count=14),
        *section("b", "b2", count=7),
    ]
    assert [len(group) for group in grouped("headings", nodes)] == [9, 8, 14, 7]


def test_two_documents_never_share_a_section_of_the_same_name() -> None:
    nodes = [*section("intro", count=3, document="one"), *section("intro", count=3, document="two")]
    assert grouped("headings", nodes) == [[0, 1, 2], [3, 4, 5]]


def test_without_any_heading_a_level_is_clustered() -> None:
    assert grouped("headings", plain(30, 30)) == grouped("umap_gmm", plain(30, 30))
