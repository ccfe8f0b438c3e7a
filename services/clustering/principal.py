"""Principal components of many rows, exact for few and by randomised subspace iteration for many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.arrays import FloatArray

EXACT = 256  # a symmetric eigenproblem up to this size is solved as it is
OVERSAMPLING = 10  # further columns and
ITERATIONS = 3  # passes of the subspace iteration (Halko, Martinsson, Tropp 2011, section 4.5)


class Axes(NamedTuple):
    mean: FloatArray  # (d,)
    axes: FloatArray  # (d, count), orthonormal, by falling variance

    def project(self, rows: FloatArray) -> FloatArray:
        return np.asarray((rows - self.mean) @ self.axes, np.float32)


def principal_axes(rows: FloatArray, count: int, seed: int) -> Axes:
    """The first `count` principal axes of (n, d) float32 rows; fewer where n - 1 or d is smaller."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    n, d = rows.shape
    count = min(count, n - 1, d)
    if d <= min(n, EXACT):
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    elif n <= EXACT:
        axes = _orthonormal(centred.T @ np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, :count])
    else:
        axes = _subspace_iteration(centred, count, seed)
    return Axes(mean, np.ascontiguousarray(axes[:, :count]))


def _subspace_iteration(centred: FloatArray, count: int, seed: int) -> FloatArray:
    width = min(count + OVERSAMPLING, *centred.shape)
    basis = np.random.default_rng(seed).standard_normal((centred.shape[1], width), dtype=np.float32)
    for _ in range(ITERATIONS):
        basis = _orthonormal(centred.T @ (centred @ basis))
    small = centred @ basis
    rotated: FloatArray = basis @ np.linalg.eigh(small.T @ small)[1][:, ::-1]
    return rotated


def _orthonormal(columns: FloatArray) -> FloatArray:
    basis: FloatArray = np.linalg.qr(columns)[0]
    return basis
