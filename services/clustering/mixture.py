"""Gaussian mixtures with full covariances, the number of components chosen by BIC.

The logarithm of a component's density is linear in phi(x) = (x_a x_b for a <= b, x, 1). With phi computed once, an
E-step is one matrix product and so are all the moments of an M-step, whatever the number of components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.clustering.compiled import compiled, inlined

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

RIDGE = 1e-6  # added to the variances, as scikit-learn does
TOLERANCE = 1e-3  # gain of mean log likelihood under which EM stops, scikit-learn's default
MOST_STEPS = 100
KMEANS_STEPS = 20
CANDIDATES = 4  # of each k-means++ draw, the best one is taken
GRID = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50)  # numbers of components tried first
REFINEMENTS = 5  # numbers tried between the neighbours of the grid's best
NEGLIGIBLE = -36.0  # logarithm of a probability that float64 loses beside 1


class Mixture(NamedTuple):
    k: int
    bic: float
    responsibilities: Array  # (n, k), rows sum to 1


def best_mixture(points: NDArray[np.floating], min_k: int, max_k: int, seed: int) -> Mixture:
    """The mixture of least BIC with min_k..max_k components (fewer than n) over (n, d) points, n at least 2.

    A grid of numbers first, then the gaps beside its best one. The starting points of k components are the first k
    of one k-means++ sequence, so that neighbouring numbers differ by what a component adds and not by luck.
    """
    search = _ComponentSearch(np.asarray(points, np.float64), max_k, seed)
    most = min(max_k, search.distinct, len(points) - 1)
    least = min(min_k, most)
    grid = sorted({least, most, *(k for k in GRID if least < k < most)})
    at = min(range(len(grid)), key=lambda i: search.fit(grid[i]).bic)
    for k in np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)], REFINEMENTS).round():
        search.fit(int(k))
    return min(search.fits.values(), key=lambda mixture: (mixture.bic, mixture.k))


class _ComponentSearch:
    """Fits over one set of points, each number of components once."""

    def __init__(self, points: Array, max_k: int, seed: int) -> None:
        n, d = points.shape
        self.points = points - points.mean(axis=0)
        self.phi = _features(self.points)
        self.free_parameters = d * (d + 3) // 2 + 1  # of one component, its share of the weights included
        starts = 4 if n < 500 else 2 if n < 2000 else 1
        draws = np.random.default_rng(seed).random((starts, min(max_k, n), CANDIDATES))
        self.seeds = [_spread(self.points, run) for run in draws]
        self.distinct = min(len(seeds) for seeds in self.seeds)
        self.fits: dict[int, Mixture] = {}

    def fit(self, k: int) -> Mixture:
        if k not in self.fits:
            starts = self.seeds if k > 1 else self.seeds[:1]
            runs = [_expectation_maximisation(self.points, self.phi, seeds[:k], MOST_STEPS) for seeds in starts]
            likelihood, responsibilities = max(runs, key=lambda run: run[0])
            n = len(self.points)
            penalty = (k * self.free_parameters - 1) * np.log(n)
            self.fits[k] = Mixture(k, float(penalty - 2 * n * likelihood), responsibilities)
        return self.fits[k]


def _features(points: Array) -> Array:
    a, b = np.triu_indices(points.shape[1])
    return np.concatenate([points[:, a] * points[:, b], points, np.ones((len(points), 1))], axis=1)


@inlined
def _squared_distance(points: Array, i: int, centres: Array, c: int) -> float:
    squared = 0.0
    for a in range(points.shape[1]):
        squared += (points[i, a] - centres[c, a]) ** 2
    return squared


@compiled
def _spread(points: Array, draws: Array) -> Indices:
    """Greedy k-means++ (Arthur, Vassilvitskii 2007) by uniform draws (k, candidates), while points are distinct."""
    n = len(points)
    k, candidates = draws.shape
    seeds = np.empty(k, np.int64)
    nearest, trial, best_trial = np.full(n, np.inf), np.empty(n), np.empty(n)
    for c in range(k):
        running = np.cumsum(nearest)
        if running[-1] <= 1e-12:
            return seeds[:c]
        least = np.inf
        for t in range(candidates if c > 0 else 1):
            # The first seed is uniform: every distance is still infinite.
            candidate = np.searchsorted(running, draws[c, t] * running[-1]) if c > 0 else np.int64(draws[c, t] * n)
            candidate = min(int(candidate), n - 1)
            cost = 0.0
            for i in range(n):
                trial[i] = min(nearest[i], _squared_distance(points, i, points, candidate))
                cost += trial[i]
            if cost < least:
                least, seeds[c] = cost, candidate
                best_trial, trial = trial, best_trial
        nearest, best_trial = best_trial, nearest
    return seeds


@inlined
def _nearest_centre(points: Array, i: int, centres: Array) -> int:
    label, least = 0, np.inf
    for c in range(len(centres)):
        squared = _squared_distance(points, i, centres, c)
        if squared < least:
            label, least = c, squared
    return label


@inlined
def _move_centres(points: Array, labels: Indices, centres: Array) -> None:
    """To the means of what is assigned to them; a centre without points stays."""
    sums, sizes = np.zeros_like(centres), np.zeros(len(centres))
    for i in range(len(points)):
        sizes[labels[i]] += 1.0
        for a in range(points.shape[1]):
            sums[labels[i], a] += points[i, a]
    for c in range(len(centres)):
        if sizes[c] > 0.0:
            centres[c] = sums[c] / sizes[c]


@compiled
def _kmeans(points: Array, seeds: Indices) -> Array:
    """Lloyd's iterations from the seeds; a one-hot (n, k) assignment."""
    n, k = len(points), len(seeds)
    centres = points[seeds]
    labels = np.full(n, -1)
    for _ in range(KMEANS_STEPS):
        changed = False
        for i in range(n):
            label = _nearest_centre(points, i, centres)
            changed = changed or label != labels[i]
            labels[i] = label
        if not changed:
            break
        _move_centres(points, labels, centres)
    assignment = np.zeros((n, k))
    for i in range(n):
        assignment[i, labels[i]] = 1.0
    return assignment


@compiled
def _expectation_maximisation(points: Array, phi: Array, seeds: Indices, most_steps: int) -> tuple[float, Array]:
    """The mean log likelihood of a point, and the responsibilities (n, k)."""
    responsibilities = _kmeans(points, seeds)
    likelihood = -np.inf
    for _ in range(most_steps if len(seeds) > 1 else 1):
        coefficients = _m_step(np.dot(responsibilities.T, phi), points.shape[1], len(points))
        responsibilities = np.dot(phi, coefficients)
        before, likelihood = likelihood, _e_step(responsibilities)
        if abs(likelihood - before) < TOLERANCE:
            break
    return likelihood, responsibilities


@compiled
def _e_step(logarithms: Array) -> float:
    """Turns the log densities into responsibilities in place; returns the mean log likelihood."""
    n, k = logarithms.shape
    total = 0.0
    for i in range(n):
        greatest = logarithms[i, 0]
        for c in range(1, k):
            greatest = max(greatest, logarithms[i, c])
        mass = 0.0
        for c in range(k):
            relative = logarithms[i, c] - greatest
            density = np.exp(relative) if relative > NEGLIGIBLE else 0.0
            logarithms[i, c] = density
            mass += density
        for c in range(k):
            logarithms[i, c] /= mass
        total += np.log(mass) + greatest
    return float(total / n)


@compiled
def _m_step(moments: Array, d: int, n: int) -> Array:
    """The coefficients (features, k) of the log densities, from the components' moments (k, features)."""
    k, width = moments.shape
    coefficients = np.empty((width, k))
    covariance, inverse, mean = np.empty((d, d)), np.empty((d, d)), np.empty(d)
    for c in range(k):
        mass = moments[c, width - 1] + 1e-14
        for a in range(d):
            mean[a] = moments[c, width - 1 - d + a] / mass
        at = 0
        for a in range(d):
            for b in range(a, d):
                covariance[b, a] = moments[c, at] / mass - mean[a] * mean[b]
                at += 1
            covariance[a, a] += RIDGE
        log_determinant = _cholesky(covariance)
        _inverse_from_factor(covariance, inverse)
        constant = np.log(mass / n) - 0.5 * (d * np.log(2 * np.pi) + log_determinant)
        at = 0
        for a in range(d):
            along = 0.0
            for b in range(d):
                along += inverse[a, b] * mean[b]
            for b in range(a, d):
                coefficients[at, c] = -0.5 * inverse[a, b] if a == b else -inverse[a, b]
                at += 1
            coefficients[width - 1 - d + a, c] = along
            constant -= 0.5 * along * mean[a]
        coefficients[width - 1, c] = constant
    return coefficients


@inlined
def _cholesky(lower: Array) -> float:
    """Factors a symmetric matrix given by its lower triangle, in place; returns log det.

    A pivot that rounding made smaller than any variance can be is lifted to the ridge.
    """
    d = len(lower)
    log_determinant = 0.0
    for j in range(d):
        pivot = lower[j, j]
        for m in range(j):
            pivot -= lower[j, m] * lower[j, m]
        pivot = pivot if pivot > 0.1 * RIDGE else RIDGE
        log_determinant += np.log(pivot)
        lower[j, j] = np.sqrt(pivot)
        for i in range(j + 1, d):
            rest = lower[i, j]
            for m in range(j):
                rest -= lower[i, m] * lower[j, m]
            lower[i, j] = rest / lower[j, j]
    return log_determinant


@inlined
def _inverse_from_factor(lower: Array, inverse: Array) -> None:
    """Inverts the triangle in place, and squares that."""
    d = len(lower)
    for j in range(d):
        lower[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, d):
            rest = 0.0
            for m in range(j, i):
                rest -= lower[i, m] * lower[m, j]
            lower[i, j] = rest / lower[i, i]
    for a in range(d):
        for b in range(a, d):
            product = 0.0
            for m in range(b, d):
                product += lower[m, a] * lower[m, b]
            inverse[a, b] = inverse[b, a] = product
