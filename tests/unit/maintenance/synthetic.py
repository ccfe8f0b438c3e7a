"""Generated passages as leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.clustering import Frontier
from tests.synthetic_vectors import Planted
from tests.unit.maintenance.synchronous_tree import Rows, frontier


def passages(corpus: Planted, rows: Rows | None = None, some: Sequence[int] | None = None, each: int = 10) -> Frontier:
    """Documents of `each` passages; `some` of them, all without it."""
    rows = corpus.rows() if rows is None else rows
    chosen = list(range(len(rows))) if some is None else list(some)
    order = [(f"{i // each:05d}", i) for i in chosen]
    return frontier(rows[np.array(chosen)], [f"{i:06d}" for i in chosen], order)
