"""The plan of a tree that is clustered as a whole: the first one, and whenever it is asked for or due."""

from __future__ import annotations

from uuid import UUID

from services.clustering import load_grouper
from services.compute import Compute
from services.tree.level import Level, Plan, everything, plan, plan_stats
from services.tree.params import TreeParams


class Clustering:
    """A seed binds a clustering to library versions: what is planned is stored, and not planned again."""

    replays = False

    def __init__(self, params: TreeParams, compute: Compute) -> None:
        self._params = params
        self._compute = compute

    async def plan(self, tree_id: UUID, level: Level) -> Plan:
        cap = self._params.levels_cap
        if len(level) == 1 or (cap is not None and level.number >= cap):
            grouping = everything(level)
        else:
            group = load_grouper(self._params.grouper)
            grouping = await group(level.frontier, self._params.grouping, self._compute)
        return Plan(plan(tree_id, level, grouping), {}, plan_stats(level, grouping))
