"""How close groups are: the squared distance of each node to the mean of the others in its group.

Fair to groups of any size, which the distance to a mean that the node itself is part of is not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from services.arrays import FloatArray, IntArray

ALONE = 1.0  # what a node without others counts: more than nearly all that have some


def means_of(rows: FloatArray, groups: Iterable[IntArray]) -> FloatArray:
    """(k, d): the mean of each group's rows. Group by group: `np.add.reduceat` takes seven times as long."""
    return np.stack([rows[members].mean(axis=0) for members in groups])


def distances_to_others(rows: FloatArray) -> FloatArray:
    """(n,) for the (n, d) nodes of one group."""
    n = len(rows)
    if n == 1:
        return np.full(1, ALONE, np.float32)
    from_mean = rows - rows.mean(axis=0)
    return np.asarray(np.einsum("ij,ij->i", from_mean, from_mean) * (n / (n - 1)) ** 2)


def looseness(rows: FloatArray) -> float:
    """The sum over the nodes of one group."""
    return float(distances_to_others(rows).sum())


def bisected(rows: FloatArray, rounds: int = 20) -> IntArray | None:
    """Two means, started from both sides of the widest axis: (n,) labels 0 and 1.

    None where a side would keep fewer than two nodes.
    """
    along = _widest(rows - rows.mean(axis=0))
    labels = (along > np.median(along)).astype(np.int64)
    for _ in range(rounds):
        if min(labels.sum(), len(labels) - labels.sum()) < 2:
            return None
        centres = np.stack([rows[labels == side].mean(axis=0) for side in (0, 1)])
        closer: IntArray = (2 * rows @ centres.T - np.einsum("ij,ij->i", centres, centres)).argmax(axis=1)
        if (closer == labels).all():
            return labels
        labels = closer
    return labels if min(labels.sum(), len(labels) - labels.sum()) >= 2 else None


def _widest(centred: FloatArray, rounds: int = 12) -> FloatArray:
    """(n,) about where the rows lie along their first principal axis: power iteration from the farthest of them."""
    along = centred @ centred[int(np.einsum("ij,ij->i", centred, centred).argmax())]
    for _ in range(rounds):
        along = centred @ (along @ centred)
        along /= max(float(np.abs(along).max()), 1e-12)
    return np.asarray(along)
