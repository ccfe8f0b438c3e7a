"""The application: the provider's paths, and beside them the ones by which it is controlled."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query

from fake_provider.faults import FaultRules
from fake_provider.limits import KeyLimits
from fake_provider.provider import Provider


def create_fake_provider(
    seed: int = 0,
    latency_s: float = 0.0,
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    concurrency: int | None = None,
    window_s: float = 60.0,
) -> FastAPI:
    """A provider that has seen nothing yet.

    `latency_s` is the least time from a request to its answer; refusals come at once. `rpm`, `tpm` and `concurrency`
    are what each key may do in `window_s` seconds, and at a time.
    """
    provider = Provider(seed=seed, latency_s=latency_s, limits=KeyLimits(rpm, tpm, concurrency, window_s))
    app = FastAPI(title="Fake provider", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_control(provider))
    app.mount("/", provider)
    return app


def _control(provider: Provider) -> APIRouter:
    router = APIRouter()

    @router.get("/_stats")
    async def stats() -> dict[str, Any]:
        return provider.stats.as_json()

    @router.get("/_totals")
    async def totals() -> dict[str, Any]:
        return provider.stats.totals()

    @router.get("/_calls")
    async def calls(limit: Annotated[int, Query(ge=1, le=10_000)] = 50) -> list[dict[str, Any]]:
        return [asdict(record) for record in provider.stats.latest(limit)]

    @router.get("/_faults")
    async def faults() -> list[dict[str, Any]]:
        return provider.faults.as_json()

    @router.post("/_faults")
    async def add_faults(rules: FaultRules) -> list[dict[str, Any]]:
        provider.faults.add(rules)
        return provider.faults.as_json()

    @router.delete("/_faults")
    async def clear_faults() -> list[dict[str, Any]]:
        provider.faults.clear()
        return provider.faults.as_json()

    @router.post("/_reset")
    async def reset() -> dict[str, Any]:
        provider.stats.clear()
        provider.limiter.clear()
        return provider.stats.as_json()

    return router
