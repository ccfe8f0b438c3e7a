"""What stays the same while a tree grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.domain import Dataset
from services.jobs.run import JobRun
from services.models.embedding import Embedder
from services.models.summary import Summarizer
from services.tree.nodes import Leaf, Tree
from services.tree.params import TreeParams


@dataclass(frozen=True, slots=True)
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
