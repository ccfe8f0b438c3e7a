from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.clustering.neighbours import nearest_of, nearest_others


def unit(rows: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def test_the_nearest_others_are_those_of_a_full_sort() -> None:
    rows = unit(500, 16)
    distances = 1 - rows @ rows.T
    np.fill_diagonal(distances, np.inf)
    found = nearest_others(rows, 12)
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :12])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :12], atol=1e-6)


def test_equal_distances_come_in_order_of_index_and_a_row_is_not_its_own_neighbour() -> None:
    rows = np.ones((5, 1), np.float32)
    assert nearest_others(rows, 3).indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert nearest_others(rows, 99).indices.shape == (5, 4)


def test_the_nearest_landmarks_may_be_the_row_itself() -> None:
    rows = unit(50, 8)
    found = nearest_of(rows, rows[:20], 4)
    assert found.indices[:20, 0].tolist() == list(range(20))
    assert (found.distances >= 0).all()
