from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.clustering.layout import layout
from services.clustering.neighbours import nearest_others


def islands(count: int = 8, each: int = 40, dimensions: int = 32, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((count, dimensions)), each, axis=0)
    rows = rows + 0.3 * rng.standard_normal(rows.shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


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
