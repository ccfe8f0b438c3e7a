"""What shapes the maintenance of a tree."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from services.clustering.grouping import GroupingParams, InvalidGrouping
from utils.ranges import out_of_range, ranged


@dataclass(frozen=True, slots=True)
class MaintenanceParams:
    """How much quality a saved summary may cost, and when a tree is to be clustered anew.

    `price` is what one summary written anew is worth, in units of the squared distance that a node of its level
    typically has to the others of its group: 0 places every node where it is nearest. `lag` is the share of the leaves
    under a summary above the first level that its text may not have seen. A full clustering is due when `regret` has
    grown by more than its bound since the last one, or when a batch touches more than the share `batch` of the leaves.
    Raises InvalidGrouping.
    """

    price: float = ranged(0.25, 0.0, 100.0)
    lag: float = ranged(0.1, 0.0, 0.5)
    regret: float = ranged(0.04, 0.0, 1.0)
    batch: float = ranged(0.3, 0.0, 1.0)

    def __post_init__(self) -> None:
        for told in out_of_range(MaintenanceParams, asdict(self)).values():
            raise InvalidGrouping(told)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the tree was clustered with: the grouper, its parameters, and the level above which all is one root."""

    grouper: str = "umap_gmm"
    grouping: GroupingParams = GroupingParams()
    levels_cap: int | None = None

    def under_one_root(self, level: int) -> bool:
        """Whether the summaries of that level are one root, whatever its tokens."""
        return self.levels_cap is not None and level > self.levels_cap
