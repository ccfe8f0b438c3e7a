"""The components that the service depends on, each with its state and version. No secrets, no tenant's data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """`needed`: without it no request can be answered."""

    ok: bool
    detail: str
    needed: bool = False


Check = Callable[[], Awaitable[ComponentHealth]]


@dataclass(frozen=True, slots=True)
class Health:
    version: str
    checks: Mapping[str, Check]

    async def parts(self) -> dict[str, ComponentHealth]:
        return {name: await check() for name, check in self.checks.items()}
