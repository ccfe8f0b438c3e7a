"""What stays the same while a tree grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from uuid import UUID

import numpy as np

from services.arrays import IntArray
from services.domain import Dataset
from services.jobs.run import JobRun
from services.models.embedding import Embedder
from services.models.summary import Summarizer
from services.tree.nodes import Leaf, Tree
from services.tree.params import TreeParams


@dataclass(frozen=True)
class Growth:
    """A tree under construction: its leaves in reading order, and with what its summaries are written. Vectors that the
    process pool reads lie in the folder `scratch`."""

    run: JobRun
    dataset: Dataset
    params: TreeParams
    tree: Tree
    leaves: Sequence[Leaf]
    embedder: Embedder
    summarizer: Summarizer
    scratch: Path

    def places(self, chunk_ids: Sequence[UUID]) -> IntArray:
        """Ascending positions of chunks among the leaves."""
        place = self._place
        return np.sort(np.array([place[chunk_id] for chunk_id in chunk_ids], np.int64))

    @cached_property
    def _place(self) -> dict[UUID, int]:
        return {leaf.chunk_id: position for position, leaf in enumerate(self.leaves)}
