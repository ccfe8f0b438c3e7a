"""The layout beside that of umap-learn. The library takes 11 s of a core to compile in each process that uses it: these
tests stand beside those of the grouper that is built of it, so that one process runs them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from services.clustering.layout import fuzzy_graph, layout
from services.clustering.neighbours import nearest_others
from tests.unit.clustering.test_layout import islands

pytestmark = pytest.mark.timeout(400)


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
