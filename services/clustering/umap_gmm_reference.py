"""RAPTOR's clustering by umap-learn and scikit-learn called plainly: the yardstick of the engine.

The steps and parameters are those of the paper's code (arXiv 2401.18059, appendix A and its repository). Beyond them
are only a seed for UMAP, membership kept by index, and the edges at which the libraries fail: few points, duplicates,
covariances without an inverse. Equal vectors are clustered once: the eigenvectors of their graph are chosen at random.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray, IntArray
from services.clustering.budget import Proposal, repair
from services.clustering.canonical import Canonical, refuse_invalid_vectors, unit_rows
from services.clustering.distinct import distinct_rows
from services.clustering.grouping import Frontier, Grouping, GroupingParams
from services.clustering.threads import one_thread
from services.compute import Compute


async def group(frontier: Frontier, params: GroupingParams, compute: Compute) -> Grouping:
    """UMAP to ten dimensions, a full-covariance mixture with k by BIC, and both again within each global cluster."""
    await refuse_invalid_vectors(frontier, compute)
    level = Canonical.of(frontier, params)
    rows = await compute(unit_rows, frontier.vectors, level.positions)
    distinct = distinct_rows(rows)
    started = perf_counter()
    clusters, best_bic = await compute(cluster, rows[distinct.representatives], distinct.cost(level.cost), params)
    clustered = perf_counter()
    proposals = distinct.with_copies(clusters)
    groups = await compute(repair, proposals, rows, level.cost, level.reading, params.token_budget)
    seconds = {"clusters": clustered - started, "budget": perf_counter() - clustered}
    return level.grouping(groups, best_bic=best_bic, seconds=seconds)


@one_thread
def cluster(rows: FloatArray, cost: IntArray, params: GroupingParams) -> tuple[list[Proposal], float | None]:
    """Soft groups of (n, d) unit rows, and the BIC of the global mixture."""
    with warnings.catch_warnings():
        # Both libraries warn of duplicates, disconnected graphs and mixtures that stop early: here all in a day's work.
        warnings.simplefilter("ignore")
        return _cluster(rows, Proposal(np.arange(len(rows)), np.ones(len(rows))), cost, params)


def _cluster(
    rows: FloatArray, whole: Proposal, cost: IntArray, params: GroupingParams
) -> tuple[list[Proposal], float | None]:
    n = len(whole.members)
    if n <= params.dimensions + 1:
        return [whole], None
    proposals: list[Proposal] = []
    best_bic, clusters = _stage(rows[whole.members], int((n - 1) ** 0.5), params.min_k, params)
    for of_global, global_weight in clusters:
        for of_local, weight in _local(rows[whole.members[of_global]], params):
            within = of_global[of_local]
            part = Proposal(whole.members[within], whole.weights[within] * global_weight[of_local] * weight)
            if cost[part.members].sum() > params.token_budget and len(within) < n:
                proposals += _cluster(rows, part, cost, params)[0]
            else:
                proposals.append(part)
    return proposals, best_bic


def _local(rows: FloatArray, params: GroupingParams) -> Iterator[tuple[IntArray, NDArray[np.float64]]]:
    if len(rows) <= params.dimensions + 1:
        return iter([(np.arange(len(rows)), np.ones(len(rows)))])
    return _stage(rows, params.local_neighbors, 1, params)[1]


def _stage(
    rows: FloatArray, neighbors: int, min_k: int, params: GroupingParams
) -> tuple[float | None, Iterator[tuple[IntArray, NDArray[np.float64]]]]:
    """BIC, and each component's members (indices of `rows`) with their probabilities."""
    bic, probability = _mixture(_reduce(rows, neighbors, params), min_k, params)
    member = probability > params.threshold
    member[np.arange(len(rows)), probability.argmax(axis=1)] = True
    components = ((np.flatnonzero(of), p[of]) for of, p in zip(member.T, probability.T, strict=True) if of.any())
    return bic, components


def _reduce(rows: FloatArray, neighbors: int, params: GroupingParams) -> NDArray[np.float64]:
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=max(2, min(neighbors, len(rows) - 1)),
        n_components=min(params.dimensions, len(rows) - 2),
        metric="cosine",
        random_state=params.seed,
        n_jobs=1,
    )
    # float64: scikit-learn finds the covariances of UMAP's float32 ill-defined now and then.
    reduced = np.asarray(reducer.fit_transform(rows), np.float64)
    return reduced if np.isfinite(reduced).all() else np.zeros_like(reduced)


def _mixture(
    reduced: NDArray[np.float64], min_k: int, params: GroupingParams
) -> tuple[float | None, NDArray[np.float64]]:
    from sklearn.mixture import GaussianMixture

    best: tuple[float, Any] | None = None
    most = min(params.max_k, len(reduced) - 1)
    for k in range(min(min_k, most), most + 1):
        mixture = GaussianMixture(k, random_state=params.seed)
        try:
            bic = float(mixture.fit(reduced).bic(reduced))
        except ValueError:  # a component collapsed onto fewer points than its covariance needs
            continue
        if best is None or bic < best[0]:
            best = (bic, mixture)
    if best is None:
        return None, np.ones((len(reduced), 1))
    return best[0], best[1].predict_proba(reduced)
