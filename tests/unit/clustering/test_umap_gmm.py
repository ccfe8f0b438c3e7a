from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.clustering import Frontier, Grouping, GroupingParams, InvalidGrouping, LevelTooLarge, Matrix
from services.clustering.neighbours import _select
from services.clustering.umap_gmm import LANDMARKS, MOST_NODES, global_clusters, group


async def at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def clustered(rows: NDArray[Any], tokens: int = 100, **params: Any) -> Grouping:
    n = len(rows)
    frontier = Frontier(
        vectors=Matrix.of(rows),
        tokens=np.full(n, tokens),
        keys=[f"{i:06d}" for i in range(n)],
        order=[("doc", i) for i in range(n)],
        paths=[()] * n,
    )
    return asyncio.run(group(frontier, GroupingParams(**params), at_once))


def topics(count: int, each: int, d: int = 48, spread: float = 0.5, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, d))
    return (np.repeat(centres, each, axis=0) + spread * rng.standard_normal((count * each, d))).astype(np.float32)


def purity(grouping: Grouping, each: int) -> float:
    """Share of members that are of the topic that most of their group are of."""
    most = sum(np.bincount([i // each for i in group.members]).max() for group in grouping.groups)
    return float(most / sum(grouping.stats.sizes))


def test_groups_are_of_one_topic() -> None:
    grouping = clustered(topics(20, 15))
    assert purity(grouping, 15) > 0.98
    assert 20 <= grouping.stats.clusters <= 100


def test_the_statistics_tell_what_was_done() -> None:
    stats = clustered(topics(6, 20)).stats
    assert stats.best_bic is not None
    assert set(stats.seconds) == {"reduce", "global", "local", "budget"}
    assert all(seconds >= 0 for seconds in stats.seconds.values())


def test_a_level_that_fits_one_prompt_is_one_group() -> None:
    assert clustered(topics(2, 5)).stats.sizes == (10,)
    assert clustered(topics(2, 5)).stats.best_bic is None


def test_at_least_min_k_clusters_are_made_where_there_are_nodes_for_them() -> None:
    rows = topics(3, 40, spread=0.1)
    assert clustered(rows, max_k=1).stats.sizes == (30, 30, 30, 30), "one component, cut by its 12,000 tokens alone"
    assert clustered(rows, min_k=12, max_k=50).stats.clusters >= 12


def test_a_low_threshold_lets_nodes_belong_to_several_groups() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((200, 12)).astype(np.float32)
    shared = sum(clustered(rows, threshold=1e-6).stats.sizes)
    assert shared > sum(clustered(rows, threshold=0.9).stats.sizes) >= 200


def test_another_seed_is_another_layout_and_the_same_seed_the_same() -> None:
    rows = np.random.default_rng(4).standard_normal((150, 30))
    assert clustered(rows, seed=1) == clustered(rows, seed=1)
    assert clustered(rows, seed=1) != clustered(rows, seed=2)


def test_a_level_seen_through_landmarks_keeps_its_topics_whole() -> None:
    each = 40
    count = (3 * LANDMARKS // 2) // each + 10
    rows = topics(count, each, d=24, spread=0.3)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    clusters = global_clusters(rows, GroupingParams()).clusters
    cluster_of = np.full((len(clusters), len(rows)), -1.0)
    for number, cluster in enumerate(clusters):
        cluster_of[number, cluster.members] = cluster.weights
    of_topic = cluster_of.argmax(axis=0).reshape(count, each)
    assert len(set(of_topic.ravel().tolist())) > 20
    assert np.mean([len(set(row)) == 1 for row in of_topic.tolist()]) > 0.9
    assert (cluster_of >= 0).any(axis=0).all()


def test_a_thousand_copies_of_a_page_do_not_take_the_clusters_from_the_others() -> None:
    others = topics(10, 12)
    grouping = clustered(np.concatenate([others, np.repeat(others[:1], 1000, axis=0)]))
    of_others = [group for group in grouping.groups if max(group.members) < 120]
    assert len(of_others) >= 9


def test_a_small_level_compiles_all_that_a_large_one_runs() -> None:
    clustered(topics(4, 16))
    compiled = len(_select.signatures)  # type: ignore[attr-defined]
    clustered(topics(60, 110, d=8))
    assert len(_select.signatures) == compiled  # type: ignore[attr-defined]


def test_more_nodes_than_memory_is_promised_for_are_refused() -> None:
    n = MOST_NODES + 1
    frontier = Frontier(
        vectors=Matrix((n, 4)),
        tokens=np.ones(n, np.int64),
        keys=[str(i) for i in range(n)],
        order=[("doc", 0)] * n,
        paths=[()] * n,
    )
    with pytest.raises(LevelTooLarge) as refused:
        asyncio.run(group(frontier, GroupingParams(), at_once))
    assert refused.value.code == "level_too_large"


@pytest.mark.parametrize(
    "wrong", [{"min_k": 0}, {"min_k": 9, "max_k": 8}, {"threshold": 0.0}, {"threshold": 1.0}, {"token_budget": 2}]
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidGrouping):
        GroupingParams(**wrong)  # type: ignore[arg-type]
