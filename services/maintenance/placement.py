"""How nodes find their groups, by what the tree was grouped with. A grouper's rule is one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.arrays import IntArray
from services.clustering.grouping import Frontier, Group, InvalidGrouping
from services.maintenance.draft import LevelDraft
from services.maintenance.likeness import Likeness
from services.maintenance.prices import Prices
from services.maintenance.reading_order import by_document, by_section


class Placement(Protocol):
    def place(self, draft: LevelDraft, items: Sequence[int], prices: Prices) -> None:
        """Puts nodes that are in no group into groups of two or more, where the level has as many nodes."""

    def regroup(self, draft: LevelDraft) -> None:
        """Betters the groups that are written anyway; every one keeps at least two members."""

    def regretted(self, leaves: Frontier, groups: Sequence[Group], asked: IntArray) -> NDArray[np.bool_]:
        """Which of the leaves that are asked (places) would rather be in another group of the first level."""

    def cut(self, draft: LevelDraft, group: str) -> list[IntArray]:
        """The parts, each of two or more members, of a group that is over the token budget."""


def _by_section_or_likeness(nodes: Frontier) -> Placement:
    """As the grouper does: levels without any heading are clustered."""
    return by_section if any(nodes.paths) else Likeness()


PLACEMENTS: dict[str, Callable[[Frontier], Placement]] = {
    "umap_gmm": lambda _: Likeness(),
    "umap_gmm_reference": lambda _: Likeness(),
    "contiguous": lambda _: by_document,
    "headings": _by_section_or_likeness,
}


def placement_of(grouper: str, nodes: Frontier) -> Placement:
    """Raises InvalidGrouping for a grouper whose trees are not maintained."""
    if grouper not in PLACEMENTS:
        raise InvalidGrouping(f"trees of {grouper!r} are not maintained; those of {', '.join(PLACEMENTS)} are")
    return PLACEMENTS[grouper](nodes)
