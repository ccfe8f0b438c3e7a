"""RAPTOR's clustering (arXiv 2401.18059, section 3), built for speed: UMAP, then a full-covariance mixture with k by
BIC, over the whole level and again within each global cluster; membership is soft.

The level is reduced to its first principal components, neighbours are exact there, and the global stage of a large
level sees a sample of landmarks. The local stages are independent of each other and run in the
process pool; what each computes depends on its own nodes and a seed of its own, so that the number of processes and
the order in which they finish change nothing. The compiled loops are imported where they run: the process that awaits
them never loads a compiler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray, IntArray
from services.clustering.budget import Proposal, repair
from services.clustering.canonical import Canonical, refuse_invalid_vectors, unit_blocks, unit_rows
from services.clustering.distinct import LINES, Distinct, distinct_places, places
from services.clustering.grouping import Frontier, Grouping, GroupingParams, LevelTooLarge
from services.clustering.matrix import Matrix
from services.clustering.principal import principal_axes
from services.clustering.threads import one_thread
from services.compute import Compute

MOST_NODES = 300_000  # about 3 GiB over two processes: 0.7 GiB, and 8 KiB a node
COMPONENTS = 256  # principal components that neighbours are sought in
AXES_SAMPLE = 20_000  # rows that the components are found from, in a larger level
MOST_NEIGHBORS = 30  # of the global graph: more cost time and change nothing that was measured
GLOBAL_EPOCHS, LOCAL_EPOCHS = 200, 100
LANDMARKS = 4096  # of the global stage, for levels of more than half as many again
VOTERS = 8  # nearest landmarks that place a node
VOTE_REACH = 0.05  # cosine distance at which a vote has fallen to 1/e
VOTE_THRESHOLD = 0.3  # averaged votes are flatter than probabilities, so that membership takes more of them
BATCH = 1500  # nodes of local stages that are sent to a process together
DEEPEST = 8  # times that a group over the budget is clustered again before it is cut by tokens


class Components(NamedTuple):
    """Soft clusters: the members of each, and their probabilities."""

    clusters: list[Proposal]
    bic: float | None  # None where no mixture was fitted


class Subproblem(NamedTuple):
    """A cluster to be clustered further, away from the level that it lies in."""

    rows: FloatArray
    cost: IntArray
    whole: Proposal  # places in the level, and membership so far
    path: tuple[int, ...]  # where it came from: what its seeds are drawn from


async def group(frontier: Frontier, params: GroupingParams, compute: Compute) -> Grouping:
    """Raises InvalidVector, and LevelTooLarge above MOST_NODES."""
    if len(frontier) > MOST_NODES:
        raise LevelTooLarge(f"{len(frontier)} nodes; at most {MOST_NODES} are grouped at once", most=MOST_NODES)
    await refuse_invalid_vectors(frontier, compute)
    level = Canonical.of(frontier, params)
    clock = [perf_counter()]
    rows, distinct = await compute(reduced_rows, frontier.vectors, level.positions, params.seed)
    clock.append(perf_counter())
    some = rows[distinct.representatives]
    coarse = await compute(global_clusters, some, params)
    clock.append(perf_counter())
    parts = _parts(some, distinct.cost(level.cost), coarse.clusters)
    fine = await asyncio.gather(*(compute(local_clusters, batch, params) for batch in _batches(parts)))
    clock.append(perf_counter())
    proposals = distinct.with_copies([proposal for batch in fine for proposal in batch])
    groups = await compute(repair, proposals, rows, level.cost, level.reading, params.token_budget)
    clock.append(perf_counter())
    seconds = dict(zip(("reduce", "global", "local", "budget"), np.diff(clock).tolist(), strict=True))
    return level.grouping(groups, best_bic=coarse.bic, seconds=seconds)


@one_thread
def reduced_rows(vectors: Matrix, positions: IntArray, seed: int) -> tuple[FloatArray, Distinct]:
    """The first principal components of the unit vectors, in the order of `positions` and scaled to norm 1 again.

    What all the vectors share goes with the mean: groups come out a little closer than from the vectors themselves.
    """
    n = len(positions)
    sample = positions
    if n > AXES_SAMPLE:
        sample = positions[np.sort(np.random.default_rng(seed).choice(n, AXES_SAMPLE, replace=False))]
    axes = principal_axes(unit_rows(vectors, sample), COMPONENTS, seed)
    rows = np.empty((n, axes.axes.shape[1]), np.float32)
    on_lines = np.empty((n, LINES), np.int64)
    for start, block in unit_blocks(vectors, positions):
        some = slice(start, start + len(block))
        rows[some], on_lines[some] = axes.project(block), places(block)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows, distinct_places(on_lines)


@one_thread
def global_clusters(rows: FloatArray, params: GroupingParams) -> Components:
    """Soft clusters of the whole level."""
    n = len(rows)
    if n <= params.dimensions + 1:
        return Components([Proposal(np.arange(n), np.ones(n))], None)
    if n <= 1.5 * LANDMARKS:
        return _global_stage(rows, params, (0,))
    landmarks = np.sort(np.random.default_rng(params.seed).choice(n, LANDMARKS, replace=False))
    bic, probability = _mixture(
        rows[landmarks], _global_neighbors(LANDMARKS), GLOBAL_EPOCHS, params.min_k, params, (0,)
    )
    return Components(_clusters(_votes(rows, rows[landmarks], probability), max(params.threshold, VOTE_THRESHOLD)), bic)


@one_thread
def local_clusters(parts: Sequence[Subproblem], params: GroupingParams) -> list[Proposal]:
    """Each part clustered within itself."""
    return [proposal for part in parts for proposal in _local_stage(part, params, depth=0)]


def _local_stage(part: Subproblem, params: GroupingParams, depth: int) -> Iterator[Proposal]:
    n = len(part.rows)
    if n <= params.dimensions + 1:
        yield part.whole
        return
    bic_and_probability = _mixture(part.rows, params.local_neighbors, LOCAL_EPOCHS, 1, params, part.path)
    for i, cluster in enumerate(_clusters(bic_and_probability[1], params.threshold)):
        within = _within(part, cluster, i)
        over = within.cost.sum() > params.token_budget
        if over and params.dimensions + 1 < len(cluster.members) < n and depth < DEEPEST:
            yield from _again(within, params, depth + 1)
        else:
            yield within.whole


def _again(part: Subproblem, params: GroupingParams, depth: int) -> Iterator[Proposal]:
    """Both stages over a cluster that is too long to be summarised as one."""
    for i, cluster in enumerate(_global_stage(part.rows, params, (*part.path, 0)).clusters):
        yield from _local_stage(_within(part, cluster, i), params, depth)


def _global_stage(rows: FloatArray, params: GroupingParams, path: tuple[int, ...]) -> Components:
    min_k = params.min_k if path == (0,) else 1
    bic, probability = _mixture(rows, _global_neighbors(len(rows)), GLOBAL_EPOCHS, min_k, params, path)
    return Components(_clusters(probability, params.threshold), bic)


def _global_neighbors(n: int) -> int:
    return min(int((n - 1) ** 0.5), MOST_NEIGHBORS)


def _mixture(
    rows: FloatArray, neighbors: int, epochs: int, min_k: int, params: GroupingParams, path: tuple[int, ...]
) -> tuple[float, NDArray[np.float64]]:
    """BIC and responsibilities of the best mixture over the rows' layout. A row counts among its own neighbours."""
    from services.clustering.layout import layout
    from services.clustering.mixture import best_mixture
    from services.clustering.neighbours import nearest_others

    seed = int(np.random.SeedSequence([params.seed, *path]).generate_state(1)[0])
    neighbours = nearest_others(rows, max(neighbors - 1, 1))
    reduced = layout(rows, neighbours, min(params.dimensions, len(rows) - 2), epochs, seed)
    mixture = best_mixture(reduced, min_k, params.max_k, seed)
    return mixture.bic, mixture.responsibilities


def _clusters(probability: NDArray[np.floating], threshold: float) -> list[Proposal]:
    """The members of each component; the most probable component always has its node."""
    member = probability > threshold
    member[np.arange(len(member)), probability.argmax(axis=1)] = True
    members = [np.flatnonzero(of) for of in member.T]
    return [Proposal(some, probability[some, k].astype(np.float64)) for k, some in enumerate(members) if len(some)]


def _votes(rows: FloatArray, landmarks: FloatArray, probability: NDArray[np.float64]) -> FloatArray:
    """Probabilities of every row: those of its nearest landmarks, weighted by nearness."""
    from services.clustering.neighbours import nearest_of

    near = nearest_of(rows, landmarks, VOTERS)
    weights = np.exp((near.distances[:, :1] - near.distances) / VOTE_REACH)
    weights /= weights.sum(axis=1, keepdims=True)
    of_landmark = probability.astype(np.float32)
    votes = np.zeros((len(rows), probability.shape[1]), np.float32)
    for voter in range(near.indices.shape[1]):
        votes += of_landmark[near.indices[:, voter]] * weights[:, voter, None]
    return votes


def _within(part: Subproblem, cluster: Proposal, i: int) -> Subproblem:
    whole = Proposal(part.whole.members[cluster.members], part.whole.weights[cluster.members] * cluster.weights)
    return Subproblem(part.rows[cluster.members], part.cost[cluster.members], whole, (*part.path, i + 1))


def _parts(rows: FloatArray, cost: IntArray, clusters: Sequence[Proposal]) -> list[Subproblem]:
    return [Subproblem(rows[c.members], cost[c.members], c, (i + 1,)) for i, c in enumerate(clusters)]


def _batches(parts: Sequence[Subproblem]) -> Iterator[list[Subproblem]]:
    batch: list[Subproblem] = []
    for part in parts:
        batch.append(part)
        if sum(len(of.rows) for of in batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
