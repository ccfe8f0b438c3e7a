"""The ledger, read: what was used and what it cost, by day, dataset, job, stage or model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.cost.usage import Usage

GroupBy = Literal["day", "dataset", "job", "stage", "model"]


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """None: all. Both days are included; days are those of UTC. `job_id` is 32 hex digits."""

    dataset_id: str | None = None
    job_id: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """`key` is a day, a dataset, a job, a stage, or `provider/model`; empty where the use belonged to none."""

    key: str
    used: Usage
