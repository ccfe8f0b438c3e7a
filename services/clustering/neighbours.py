"""Nearest neighbours by cosine: exact, by blocks of a matrix product and a selection in one pass over each row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray
from services.clustering.compiled import compiled

IndexArray = NDArray[np.int32]

BLOCK_BYTES = 32 << 20  # of similarities at a time


class Neighbours(NamedTuple):
    """The k nearest of each row, nearest first; equal distances in order of index."""

    indices: IndexArray  # (n, k)
    distances: FloatArray  # (n, k), 1 - cosine, at least 0


def nearest_others(rows: FloatArray, k: int) -> Neighbours:
    """The k nearest other rows of each of (n, d) unit rows; k is at most n - 1."""
    return _nearest(rows, rows, min(k, len(rows) - 1), others=True)


def nearest_of(rows: FloatArray, landmarks: FloatArray, k: int) -> Neighbours:
    """The k nearest landmarks of each of (n, d) unit rows."""
    return _nearest(rows, landmarks, min(k, len(landmarks)), others=False)


def _nearest(rows: FloatArray, among: FloatArray, k: int, *, others: bool) -> Neighbours:
    indices = np.empty((len(rows), k), np.int32)
    similarities = np.empty((len(rows), k), np.float32)
    block = max(1, BLOCK_BYTES // (4 * len(among)))
    for start in range(0, len(rows), block):
        some = slice(start, start + block)
        _select(rows[some] @ among.T, start if others else -len(among), indices[some], similarities[some])
    return Neighbours(indices, np.maximum(np.float32(1) - similarities, np.float32(0)))


@compiled
def _select(products: FloatArray, first_self: int, indices: IndexArray, similarities: FloatArray) -> None:
    """Keeps the k greatest of each row of `products` in a sorted list; row r skips column first_self + r.

    Against a running bound almost every product fails its one comparison: at 5,000 columns a fifth of the time of
    `argpartition`.
    """
    k = indices.shape[1]
    for r in range(products.shape[0]):
        best, at = similarities[r], indices[r]
        for slot in range(k):
            best[slot] = np.float32(-3.0)
        for column in range(products.shape[1]):
            product = products[r, column]
            if product <= best[k - 1] or column == first_self + r:
                continue
            slot = k - 1
            while slot > 0 and best[slot - 1] < product:
                best[slot], at[slot] = best[slot - 1], at[slot - 1]
                slot -= 1
            best[slot], at[slot] = product, column
