from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from services.clustering.mixture import best_mixture


def blobs(count: int, each: int, d: int = 4, spread: float = 0.3, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-10, 10, (count, d))
    return np.repeat(centres, each, axis=0) + spread * rng.standard_normal((count * each, d))


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_bic_finds_the_components_that_are_there(count: int) -> None:
    mixture = best_mixture(blobs(count, 80), 1, 50, seed=0)
    assert mixture.k == count
    of = mixture.responsibilities.argmax(axis=1).reshape(count, 80)
    assert all(len(set(row)) == 1 for row in of.tolist())
    assert len({row[0] for row in of.tolist()}) == count


def test_the_criterion_is_scikit_learns() -> None:
    points = blobs(3, 100)
    ours = best_mixture(points, 3, 3, seed=0)
    theirs = GaussianMixture(3, random_state=0, tol=1e-6, n_init=3).fit(points)
    assert ours.bic == pytest.approx(theirs.bic(points), rel=1e-3)
    order = theirs.predict_proba(points)[np.arange(0, 300, 100)].argmax(axis=1)
    own = ours.responsibilities[np.arange(0, 300, 100)].argmax(axis=1)
    np.testing.assert_allclose(ours.responsibilities[:, own], theirs.predict_proba(points)[:, order], atol=1e-3)


@pytest.mark.parametrize("n", [25, 120])
def test_the_search_is_no_worse_than_trying_every_number(n: int) -> None:
    points = np.random.default_rng(n).standard_normal((n, 6)) * np.linspace(0.2, 3, 6) + blobs(1, n, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [GaussianMixture(k, random_state=0) for k in range(1, min(50, n - 1) + 1)]
        every = min(fit.fit(points).bic(points) for fit in fits)
    assert best_mixture(points, 1, 50, seed=0).bic <= every + 0.02 * abs(every)


def test_the_number_of_components_stays_within_its_bounds() -> None:
    points = blobs(5, 40)
    assert best_mixture(points, 7, 9, seed=0).k in {7, 8, 9}
    assert best_mixture(points, 1, 3, seed=0).k == 3
    assert best_mixture(points[:4], 3, 50, seed=0).k == 3


@pytest.mark.parametrize(
    "points", [np.zeros((9, 3)), np.repeat(np.eye(3), 5, axis=0), np.outer(np.arange(30), [1, 2, 3])]
)
def test_points_without_volume_give_responsibilities_that_sum_to_one(points: NDArray[np.float64]) -> None:
    mixture = best_mixture(points, 1, 50, seed=0)
    assert np.isfinite(mixture.bic)
    np.testing.assert_allclose(mixture.responsibilities.sum(axis=1), 1)


def test_the_same_seed_gives_the_same_bytes() -> None:
    points = blobs(6, 30, spread=3)
    first, second = (best_mixture(points.copy(), 1, 50, seed=5) for _ in range(2))
    assert first.responsibilities.tobytes() == second.responsibilities.tobytes()
