"""Who pays for a job: whose uploads share a build, and whose do not."""

from __future__ import annotations

import uuid

from services.cost.budget import Budget, Keys
from utils.hashing import digest_of

SERVICE = ""
"""Work on the keys that the service is configured with, or that costs nothing."""

BACKGROUND = "background"
"""Work on the same keys that no upload asked for, and none waits for."""


def payer_of(keys: Keys, budget: Budget) -> str:
    """Callers with the same keys are one payer. A budget is that of one piece of work alone: who gives one never shares
    a build, because others would use it up."""
    owner = digest_of(f"{provider}={keys[provider]}" for provider in sorted(keys))[:32] if keys else SERVICE
    return f"{owner}/{uuid.uuid4().hex}" if budget.as_json() else owner


def have_same_keys(payer: str, other: str) -> bool:
    return payer.partition("/")[0] == other.partition("/")[0]
