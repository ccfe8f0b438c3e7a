"""Loading and compiling a grouper ahead of the first build."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from services.clustering import Frontier, GroupingParams, Matrix, load_grouper


def warm_up(grouper: str) -> None:
    """Groups a small level in this process: its libraries are then loaded and their code is compiled. A grouper that
    has none spares each process seconds of a core."""
    n = 64
    vectors = np.random.default_rng(0).standard_normal((n, 32), np.float32)
    frontier = Frontier(
        vectors=Matrix.of(vectors),
        tokens=np.ones(n, np.int64),
        keys=[str(i) for i in range(n)],
        order=[("", i) for i in range(n)],
        paths=[()] * n,
    )

    async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    asyncio.run(load_grouper(grouper)(frontier, GroupingParams(), at_once))
