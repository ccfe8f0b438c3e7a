"""The components that the service depends on, each with its state and version. No secrets, no tenant's data."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.cost.budget import CallContext
from services.domain import DEFAULT_TENANT
from services.errors import RaptorError
from services.models.registry import Models


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    ok: bool
    detail: str


Check = Callable[[], Awaitable[ComponentHealth]]


@dataclass(frozen=True, slots=True)
class Health:
    """Without what is `needed` no request can be answered; the service is worse off without the others."""

    version: str
    needed: Mapping[str, Check]
    others: Mapping[str, Check]

    async def parts(self) -> dict[str, ComponentHealth]:
        return {name: await check() for name, check in {**self.needed, **self.others}.items()}

    async def missing(self) -> dict[str, str]:
        """What has to be there and is not."""
        found = {name: await check() for name, check in self.needed.items()}
        return {name: part.detail for name, part in found.items() if not part.ok}


def embedder_check(models: Models) -> Check:
    """Whether the embedder of new datasets could be called on the operator's keys. Calls nothing."""
    context = CallContext(DEFAULT_TENANT)

    async def check() -> ComponentHealth:
        name = models.default_embedder(context)
        try:
            models.check_embedder(name, context)
        except RaptorError as error:
            return ComponentHealth(False, f"{name}: {error.message}")
        return ComponentHealth(True, f"{name} for new datasets")

    return check


def remembered(check: Check, seconds: float) -> Check:
    """For what is dear to find out: asked again once that time is over."""
    found: ComponentHealth | None = None
    until = 0.0

    async def check_now_and_then() -> ComponentHealth:
        nonlocal found, until
        if found is None or time.monotonic() >= until:
            found = await check()
            until = time.monotonic() + seconds
        return found

    return check_now_and_then
