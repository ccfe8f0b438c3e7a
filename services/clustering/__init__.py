"""Grouping the nodes of a level into the next one. A grouper is a module with `group`, and one line here.

Nothing of it is imported before it is used: the engines load compilers and numerical libraries, which belong into
worker processes only.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from services.clustering.grouping import (
    Frontier,
    Group,
    Grouper,
    Grouping,
    GroupingParams,
    GroupingStats,
    InvalidGrouping,
    InvalidVector,
    LevelTooLarge,
)
from services.clustering.matrix import Matrix
from services.compute import Compute

__all__ = [
    "GROUPERS",
    "Compute",
    "Frontier",
    "Group",
    "Grouper",
    "Grouping",
    "GroupingParams",
    "GroupingStats",
    "InvalidGrouping",
    "InvalidVector",
    "LevelTooLarge",
    "Matrix",
    "load_grouper",
]

GROUPERS: dict[str, str] = {
    "umap_gmm": "services.clustering.umap_gmm",
    "umap_gmm_reference": "services.clustering.umap_gmm_reference",
    "contiguous": "services.clustering.contiguous",
    "headings": "services.clustering.headings",
}


def load_grouper(name: str) -> Grouper:
    """Raises InvalidGrouping for a name that is not in GROUPERS."""
    if name not in GROUPERS:
        raise InvalidGrouping(f"there is no grouper {name!r}; there are {', '.join(GROUPERS)}")
    return cast(Grouper, import_module(GROUPERS[name]).group)
