from __future__ import annotations

import numpy as np
import pytest

from services.clustering.principal import principal_axes


@pytest.mark.parametrize(("n", "d"), [(40, 300), (300, 40), (600, 400)])
def test_the_axes_catch_as_much_variance_as_a_full_decomposition(n: int, d: int) -> None:
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((n, d)) / np.sqrt(1 + np.arange(d)) + 5).astype(np.float32)
    axes = principal_axes(rows, 8, seed=3)
    best = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:8] ** 2
    caught = (axes.project(rows) ** 2).sum(axis=0)
    np.testing.assert_allclose(axes.axes.T @ axes.axes, np.eye(8), atol=1e-5)
    assert caught.sum() >= 0.99 * best.sum()


def test_there_are_no_more_axes_than_the_rows_span() -> None:
    assert principal_axes(np.eye(3, 50, dtype=np.float32), 10, seed=0).axes.shape == (50, 2)
    assert principal_axes(np.eye(50, 3, dtype=np.float32), 10, seed=0).axes.shape == (3, 3)
