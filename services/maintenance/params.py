"""What shapes the maintenance of a tree."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.clustering.grouping import GroupingParams, InvalidGrouping


@dataclass(frozen=True, slots=True)
class MaintenanceParams:
    """How much quality a saved summary may cost, and when a tree is to be clustered anew.

    `price` is what one summary written anew is worth, in units of the squared distance that a node of its level
    typically has to the others of its group: 0 places every node where it is nearest. `lag` is the share of the leaves
    under a summary above the first level that its text may not have seen. A full clustering is due when `regret` has
    grown by more than its bound since the last one, or when a batch touches more than the share `batch` of the leaves.
    Raises InvalidGrouping.
    """

    price: float = 0.25
    lag: float = 0.1
    regret: float = 0.04
    batch: float = 0.3

    def __post_init__(self) -> None:
        for name, value, most in (
            ("price", self.price, 100.0),
            ("lag", self.lag, 0.5),
            ("regret", self.regret, 1.0),
            ("batch", self.batch, 1.0),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidGrouping(f"{name} has to be a number")
            if not (math.isfinite(value) and 0 <= value <= most):
                raise InvalidGrouping(f"{name} has to lie between 0 and {most:g}")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the tree was clustered with: the grouper, its parameters, and the level above which all is one root."""

    grouper: str = "umap_gmm"
    grouping: GroupingParams = GroupingParams()
    levels_cap: int | None = None

    def under_one_root(self, level: int) -> bool:
        """Whether the summaries of that level are one root, whatever its tokens."""
        return self.levels_cap is not None and level > self.levels_cap
