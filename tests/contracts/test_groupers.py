"""What every grouper promises, whatever the nodes of a level look like."""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.clustering import (
    GROUPERS,
    Compute,
    Frontier,
    Grouping,
    GroupingParams,
    InvalidGrouping,
    InvalidVector,
    Matrix,
    load_grouper,
)

# Compiling umap-learn takes 11 s of a core in each process, and minutes beside eight busy ones.
pytestmark = pytest.mark.timeout(400)
every_grouper = pytest.mark.parametrize("name", list(GROUPERS))
examples = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


async def at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def grouped(
    name: str, frontier: Frontier, params: GroupingParams | None = None, compute: Compute = at_once
) -> Grouping:
    async def run() -> Grouping:
        return await load_grouper(name)(frontier, params or GroupingParams(), compute)

    return asyncio.run(run())


def frontier_of(
    vectors: NDArray[Any], *, tokens: Any = 100, documents: int = 1, paths: list[tuple[str, ...]] | None = None
) -> Frontier:
    n = len(vectors)
    document_of = np.arange(n) * documents // n
    return Frontier(
        vectors=Matrix.of(vectors),
        tokens=np.broadcast_to(np.asarray(tokens, np.int64), (n,)),
        keys=[f"node-{(i * 7919) % 1_000_003:07d}" for i in range(n)],
        order=[(f"doc-{document_of[i]:03d}", i) for i in range(n)],
        paths=paths or [()] * n,
    )


def topics(n: int, dimensions: int = 64, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(2, n // 12), dimensions))
    rows = centres[rng.integers(0, len(centres), n)] + 0.5 * rng.standard_normal((n, dimensions))
    return rows.astype(np.float32)


GEOMETRIES: dict[str, Callable[[np.random.Generator, int, int], NDArray[Any]]] = {
    "scattered": lambda rng, n, d: rng.standard_normal((n, d)),
    "duplicates": lambda rng, n, d: rng.standard_normal((max(1, n // 4), d))[rng.integers(0, max(1, n // 4), n)],
    "identical": lambda rng, n, d: np.repeat(rng.standard_normal((1, d)), n, axis=0),
    "collinear": lambda rng, n, d: rng.standard_normal(d) + np.outer(rng.uniform(-3, 3, n), rng.standard_normal(d)),
    "one direction": lambda rng, n, d: np.outer(rng.uniform(0.1, 9, n), rng.standard_normal(d)),
    "opposites": lambda rng, n, d: np.outer(np.where(np.arange(n) % 2, 1.0, -1.0), rng.standard_normal(d)),
    "two points": lambda rng, n, d: rng.standard_normal((2, d))[np.arange(n) % 2],
    "one far outlier": lambda rng, n, d: np.r_[1 + 1e-3 * rng.standard_normal((n - 1, d)), np.full((1, d), -1.0)],
    "huge and tiny": lambda rng, n, d: rng.standard_normal((n, d)) * 10.0 ** rng.integers(-25, 25, (n, 1)),
}


@st.composite
def frontiers(draw: st.DrawFn, most: int = 60) -> Frontier:
    n = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = GEOMETRIES[draw(st.sampled_from(sorted(GEOMETRIES)))](rng, n, draw(st.sampled_from([2, 3, 12, 40])))
    longest = draw(st.sampled_from([0, 120, 900, 20_000]))
    depth = draw(st.integers(0, 3))
    sections = np.sort(rng.integers(0, 1 + n // 3, n))
    paths = [tuple(f"{level}.{section // 2**level}" for level in range(depth, 0, -1)) for section in sections]
    documents = draw(st.integers(1, n))
    return frontier_of(vectors, tokens=rng.integers(0, longest + 1, n), documents=documents, paths=paths)


@st.composite
def parameters(draw: st.DrawFn) -> GroupingParams:
    return GroupingParams(
        min_k=draw(st.sampled_from([1, 1, 3])),
        max_k=draw(st.sampled_from([4, 50])),
        threshold=draw(st.sampled_from([0.01, 0.1, 0.6])),
        token_budget=draw(st.sampled_from([100, 3500])),
        seed=draw(st.integers(0, 9)),
    )


def assert_promises(frontier: Frontier, grouping: Grouping, params: GroupingParams) -> None:
    n, groups = len(frontier), grouping.groups
    primaries = [i for group in groups for i, first in zip(group.members, group.primary, strict=True) if first]
    assert sorted(primaries) == list(range(n)), "every node has exactly one primary group"
    assert len(groups) <= max(1, n // 2), "a level is at most half of the one below"
    assert len({frozenset(group.members) for group in groups}) == len(groups), "no summary is written twice"
    reading = [(frontier.order[i], frontier.keys[i]) for i in range(n)]
    for group in groups:
        assert len(set(group.members)) == len(group.members) == len(group.weights) == len(group.primary)
        assert sum(group.primary) >= min(2, n)
        assert all(0 < weight <= 1 for weight in group.weights)
        cost = sum(min(int(frontier.tokens[i]), params.token_budget // 3) for i in group.members)
        assert cost <= params.token_budget
        assert list(group.members) == sorted(group.members, key=reading.__getitem__)
    firsts = [reading[group.members[0]] for group in groups]
    assert firsts == sorted(firsts)
    assert grouping.stats.clusters == len(groups)
    assert grouping.stats.sizes == tuple(len(group.members) for group in groups)
    over = {frontier.keys[i] for i in range(n) if frontier.tokens[i] > params.token_budget // 3}
    assert set(grouping.stats.truncated) == over


@every_grouper
@given(frontier=frontiers(), params=parameters())
@examples
def test_any_level_becomes_groups_that_keep_every_promise(
    name: str, frontier: Frontier, params: GroupingParams
) -> None:
    assert_promises(frontier, grouped(name, frontier, params), params)


@every_grouper
@pytest.mark.parametrize("geometry", list(GEOMETRIES))
def test_no_geometry_breaks_a_promise_at_any_size(name: str, geometry: str) -> None:
    """Around the sizes at which something changes: nothing to group, two nodes, the first mixture, several levels."""
    for n in (1, 2, 3, 12, 13, 48):
        frontier = frontier_of(GEOMETRIES[geometry](np.random.default_rng(n), n, 24), tokens=np.arange(n) * 977 % 5000)
        assert_promises(frontier, grouped(name, frontier), GroupingParams())


@every_grouper
@given(frontier=frontiers(most=40), seed=st.integers(0, 2**32 - 1))
@settings(examples, max_examples=12)
def test_the_order_of_the_input_does_not_change_the_groups(name: str, frontier: Frontier, seed: int) -> None:
    shuffled = shuffle(frontier, seed)
    assert by_key(shuffled, grouped(name, shuffled)) == by_key(frontier, grouped(name, frontier))


@every_grouper
@pytest.mark.parametrize("n", [150, 400])
def test_a_larger_level_keeps_every_promise_in_any_order(name: str, n: int) -> None:
    frontier = frontier_of(topics(n), tokens=np.arange(n) * 37 % 400, documents=9)
    grouping = grouped(name, frontier)
    assert_promises(frontier, grouping, GroupingParams())
    shuffled = shuffle(frontier, 5)
    assert by_key(shuffled, grouped(name, shuffled)) == by_key(frontier, grouping)


def shuffle(frontier: Frontier, seed: int) -> Frontier:
    by = np.random.default_rng(seed).permutation(len(frontier))
    return Frontier(
        vectors=Matrix.of(frontier.vectors.rows(by)),
        tokens=frontier.tokens[by],
        keys=[frontier.keys[i] for i in by],
        order=[frontier.order[i] for i in by],
        paths=[frontier.paths[i] for i in by],
    )


def by_key(frontier: Frontier, grouping: Grouping) -> list[list[tuple[str, float, bool]]]:
    return [
        [(frontier.keys[i], w, first) for i, w, first in zip(g.members, g.weights, g.primary, strict=True)]
        for g in grouping.groups
    ]


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@every_grouper
def test_the_number_of_processes_and_where_vectors_lie_change_nothing(
    name: str, tmp_path: Path, processes: ProcessPoolExecutor
) -> None:
    frontier = frontier_of(topics(260), documents=3)
    rows = frontier.vectors.rows(np.arange(260))
    rows.tofile(path := tmp_path / "vectors.f32")
    in_file = replace(frontier, vectors=Matrix.in_file(path, rows.shape))

    async def in_pool(function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(processes, function, *args)

    assert grouped(name, in_file, compute=in_pool) == grouped(name, frontier)


@every_grouper
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_refused_by_name(name: str, value: float) -> None:
    vectors = topics(20)
    vectors[7] = value
    with pytest.raises(InvalidVector) as refused:
        grouped(name, frontier := frontier_of(vectors))
    assert refused.value.code == "invalid_vector"
    assert refused.value.details["keys"] == [frontier.keys[7]]


@every_grouper
def test_levels_end_in_one_root(name: str) -> None:
    frontier = frontier_of(topics(120), documents=10, paths=[(f"part {i // 5}",) for i in range(120)])
    for _ in range(7):  # log2(120) is 6.9
        if len(frontier) == 1:
            break
        frontier = level_above(frontier, grouped(name, frontier))
    assert len(frontier) == 1


def level_above(frontier: Frontier, grouping: Grouping) -> Frontier:
    rows = frontier.vectors.rows(np.arange(len(frontier)))
    return Frontier(
        vectors=Matrix.of(np.stack([rows[list(group.members)].mean(axis=0) for group in grouping.groups])),
        tokens=np.full(len(grouping.groups), 200),
        keys=[frontier.keys[group.members[0]] + "+" for group in grouping.groups]
        if len({group.members[0] for group in grouping.groups}) == len(grouping.groups)
        else [f"group-{i}" for i in range(len(grouping.groups))],
        order=[frontier.order[group.members[0]] for group in grouping.groups],
        paths=[()] * len(grouping.groups),
    )


def test_a_level_with_crooked_fields_is_refused() -> None:
    frontier = frontier_of(topics(4))
    with pytest.raises(InvalidGrouping):
        replace(frontier, keys=["a", "b", "c"])
    with pytest.raises(InvalidGrouping):
        replace(frontier, keys=["a", "b", "c", "c"])
    with pytest.raises(InvalidGrouping):
        load_grouper("no such grouper")


def test_the_process_that_awaits_a_grouping_pays_for_no_numerical_library() -> None:
    program = (
        "import sys; from services.clustering import GROUPERS, load_grouper; [load_grouper(name) for name in GROUPERS];"
        "print(*({'umap', 'numba', 'sklearn', 'scipy', 'pynndescent'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
