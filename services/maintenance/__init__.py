"""A live tree through changes of its leaves: groups last, and a change costs the summaries on its own path."""

from services.maintenance.laws import violations
from services.maintenance.params import MaintenanceParams, Shape
from services.maintenance.passages import continued
from services.maintenance.plan import plan_level
from services.maintenance.regret import clustering_due, regret, yardstick_of
from services.maintenance.step import LevelPlan, Step, Written, advance, begin, finish
from services.maintenance.tree import LiveTree, TreeLevel, Yardstick, largest_lag

__all__ = [
    "LevelPlan",
    "LiveTree",
    "MaintenanceParams",
    "Shape",
    "Step",
    "TreeLevel",
    "Written",
    "Yardstick",
    "advance",
    "begin",
    "clustering_due",
    "continued",
    "finish",
    "largest_lag",
    "plan_level",
    "regret",
    "violations",
    "yardstick_of",
]
