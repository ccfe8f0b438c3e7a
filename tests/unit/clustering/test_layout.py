from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from services.clustering.layout import fuzzy_graph, layout
from services.clustering.neighbours import nearest_others


def islands(count: int = 8, each: int = 40, dimensions: int = 32, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((count, dimensions)), each, axis=0)
    rows = rows + 0.3 * rng.standard_normal(rows.shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def kept_neighbours(positions: NDArray[np.float32], indices: NDArray[np.int32]) -> float:
    """Share of each row's neighbours that are among as many nearest positions."""
    squared = ((positions[:, None] - positions[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    nearest = np.argsort(squared, axis=1)[:, : indices.shape[1]]
    return float(
        np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(nearest.tolist(), indices.tolist(), strict=True)])
    )


def test_the_fuzzy_graph_is_that_of_umap_learn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap.umap_ import fuzzy_simplicial_set
    rows, k = islands(), 15
    others = nearest_others(rows, k - 1)
    indices = np.concatenate([np.arange(len(rows), dtype=np.int32)[:, None], others.indices], axis=1)
    distances = np.concatenate([np.zeros((len(rows), 1), np.float32), others.distances], axis=1)
    theirs, _, _ = fuzzy_simplicial_set(
        rows, k, np.random.RandomState(0), "cosine", knn_indices=indices, knn_dists=distances
    )
    graph = fuzzy_graph(others)
    ours = csr_array((graph.weights, graph.targets, graph.starts), shape=theirs.shape)
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), atol=1e-5)


def test_the_layout_keeps_neighbours_as_well_as_that_of_umap_learn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        theirs = UMAP(n_neighbors=15, n_components=5, metric="cosine", random_state=1, n_jobs=1, n_epochs=200)
        rows = islands()
        reference = kept_neighbours(theirs.fit_transform(rows), nearest_others(rows, 14).indices)
    ours = [layout(rows, nearest_others(rows, 14), 5, 200, seed) for seed in range(3)]
    kept = [kept_neighbours(positions, nearest_others(rows, 14).indices) for positions in ours]
    assert min(kept) > reference - 0.05


def test_islands_stay_apart() -> None:
    positions = layout(islands(), nearest_others(islands(), 14), 5, 200, seed=4)
    centres = positions.reshape(8, 40, 5).mean(axis=1)
    nearest = np.argmin(((positions[:, None] - centres[None]) ** 2).sum(axis=2), axis=1)
    assert nearest.tolist() == np.repeat(np.arange(8), 40).tolist()


def test_the_bytes_do_not_depend_on_where_in_memory_the_arrays_lie() -> None:
    rows, between = islands(each=18), []
    for n in range(24, 144, 6):
        seen = set()
        for size in range(60):
            between.append(np.empty(17 + size % 50))  # so that what follows lies elsewhere
            some = rows[:n].copy()
            seen.add(layout(some, nearest_others(some, 9), 10, 30, seed=3_000_000_019).tobytes())
        assert len(seen) == 1


def test_coincident_points_are_laid_out_finitely() -> None:
    for rows in (np.ones((20, 3), np.float32), np.repeat(np.eye(2, dtype=np.float32), 10, axis=0)):
        assert np.isfinite(layout(rows, nearest_others(rows, 5), 10, 50, seed=0)).all()
