"""Who pays for a job: whose uploads share a build, and whose do not."""

from __future__ import annotations

import uuid

from services.cost.budget import Budget, Keys
from utils.hashing import digest_of

SERVICE = ""
"""Work on the keys that the service is configured with, or that costs nothing."""


def payer_of(keys: Keys, budget: Budget) -> str:
    """Callers with the same keys are one payer. A budget is that of one piece of work alone: who gives one never shares
    a build, because others would use it up."""
    if budget.as_json():
        return uuid.uuid4().hex
    if not keys:
        return SERVICE
    return digest_of(f"{provider}={keys[provider]}" for provider in sorted(keys))[:32]
