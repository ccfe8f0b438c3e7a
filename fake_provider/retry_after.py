"""When to come back, in the forms in which servers say it."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

from fake_provider.faults import FaultRule


def retry_after(rule: FaultRule) -> dict[str, str]:
    """The header of a `status` rule; none where it names no time. An HTTP date has whole seconds: it is rounded up."""
    if rule.retry_after is None:
        return {}
    if isinstance(rule.retry_after, str):
        return {"Retry-After": rule.retry_after}
    if rule.retry_after_as == "date":
        return {"Retry-After": formatdate(math.ceil(time.time() + rule.retry_after), usegmt=True)}
    if rule.retry_after_as == "milliseconds":
        return {"Retry-After-Ms": f"{1000 * rule.retry_after:.0f}"}
    return {"Retry-After": f"{rule.retry_after:g}"}
