"""What a job may spend, as it is stored in the job's parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from services.cost.budget import Budget
from services.cost.usage import Usage
from services.domain import JsonObject


@dataclass(frozen=True, slots=True)
class JobLimits:
    """`spent` was used on the same budget by the jobs that this one continues."""

    budget: Budget = Budget()
    spent: Usage = Usage()

    @classmethod
    def of(cls, params: JsonObject) -> JobLimits:
        return cls(budget_of(params.get("budget", {})), Usage(**params.get("spent", {})))

    def as_params(self) -> JsonObject:
        """Nothing where there is no limit: what was spent matters only beside one."""
        limits = self.budget.as_json()
        return {"budget": limits, "spent": asdict(self.spent)} if limits else {}

    def continued(self, budget: Budget, used: Usage) -> JobLimits:
        """For a job that goes on: limits of `budget` take the place of those it had, and what it `used` counts."""
        return JobLimits(budget_of(self.budget.as_json() | budget.as_json()), self.spent + used)


def budget_of(limits: JsonObject) -> Budget:
    return Budget(**limits)
