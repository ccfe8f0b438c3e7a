"""What a provider allows: kept to from its first word on, by all processes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import LimitSettings, Settings
from fake_provider import RunningFakeProvider
from infra.db.engine import create_engine
from infra.limiter import Limiter, Limits, current_call, note_limits
from services.errors import ContextTooLong, ProviderRateLimited
from tests.client import ApiClient
from tests.factories import handbook
from tests.providers.conftest import with_providers

# A minute of these tests has two seconds.
MINUTE_S = 2.0


class TestATenantWithLittle:
    """3 requests and 10,000 tokens a minute, which nobody has told us."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        minute = LimitSettings(window=MINUTE_S)
        return with_providers(settings, provider_limits={"voyage": minute, "deepseek": minute})

    @pytest.mark.usefixtures("running")
    async def test_its_build_ends_without_a_refusal_after_the_first(
        self, api: ApiClient, provider: RunningFakeProvider
    ) -> None:
        provider.faults({"kind": "limits", "rpm": 3, "tpm": 10_000, "window_s": MINUTE_S})
        for number in range(4):
            await api.ingest(handbook(1).replace("says", f"told us {number} times"), name=f"{number}.md")
        calls = provider.calls(1_000)
        refused = [call for call in calls if call["status"] == 429]
        assert len(calls) >= 12
        assert len(refused) <= 1, refused


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


async def most_at_once(limiters: list[Limiter], limits: Limits, calls: int) -> int:
    """Makes calls on one key through all of the limiters, and counts how many were under way together."""
    under_way = most = 0

    async def one(limiter: Limiter) -> None:
        nonlocal under_way, most
        async with limiter.call("voyage", "key", limits, 10):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.02)
            under_way -= 1

    await asyncio.gather(*(one(limiters[number % len(limiters)]) for number in range(calls)))
    return most


async def test_processes_share_a_keys_calls_at_a_time(engine: AsyncEngine) -> None:
    processes = [Limiter(engine), Limiter(engine), Limiter(engine)]
    assert await most_at_once(processes, Limits(concurrency=2), 12) == 2


async def test_until_the_provider_has_answered_calls_begin_one_by_one(engine: AsyncEngine) -> None:
    limiter = Limiter(engine)
    assert await most_at_once([limiter], Limits(start=1), 1) == 1
    assert await most_at_once([limiter], Limits(start=1), 4) > 1


async def test_a_key_of_another_is_not_slowed_down(engine: AsyncEngine) -> None:
    limiter = Limiter(engine)
    with pytest.raises(ProviderRateLimited):
        async with limiter.call("voyage", "mine", Limits(), 10):
            raise ProviderRateLimited(retry_after_s=60.0)
    with pytest.raises(ProviderRateLimited):
        async with limiter.call("voyage", "mine", Limits(), 10, patience_s=0.2):
            pass
    async with (
        limiter.call("voyage", "theirs", Limits(), 10, patience_s=20),
        limiter.call("cohere", "mine", Limits(), 10, patience_s=20),
    ):
        pass


async def test_what_an_answer_says_of_its_limits_is_kept_to(engine: AsyncEngine) -> None:
    first, other = Limiter(engine), Limiter(engine)
    async with first.call("openai", "key", Limits(), 10):
        note_limits({"x-ratelimit-limit-requests": "2", "x-ratelimit-limit-tokens": "1000"})
    assert current_call.get() is None
    with pytest.raises(ContextTooLong):
        async with other.call("openai", "key", Limits(), 1_001):
            pass
    async with other.call("openai", "key", Limits(), 10):
        pass
    with pytest.raises(ProviderRateLimited):
        async with first.call("openai", "key", Limits(), 10, patience_s=0.2):
            pass


async def test_one_refusal_of_a_busy_moment_teaches_nothing_but_patience(engine: AsyncEngine) -> None:
    limiter = Limiter(engine)
    for _ in range(2):
        async with limiter.call("gemini", "key", Limits(), 10):
            pass
    with pytest.raises(ProviderRateLimited):
        async with limiter.call("gemini", "key", Limits(), 10):
            raise ProviderRateLimited(retry_after_s=0.1)
    for _ in range(5):
        async with limiter.call("gemini", "key", Limits(), 10, patience_s=20):
            pass


async def test_a_window_that_is_full_teaches_how_much_fits_in_it(engine: AsyncEngine) -> None:
    limiter = Limiter(engine)
    limits = Limits(window_s=MINUTE_S)
    for _ in range(3):
        async with limiter.call("gemini", "key", limits, 10):
            pass
    with pytest.raises(ProviderRateLimited):
        async with limiter.call("gemini", "key", limits, 10):
            raise ProviderRateLimited(retry_after_s=MINUTE_S)
    began = asyncio.get_running_loop().time()
    for _ in range(4):
        async with limiter.call("gemini", "key", limits, 10):
            pass
    assert asyncio.get_running_loop().time() - began >= 2 * MINUTE_S


async def test_a_pause_of_a_day_says_nothing_about_the_minute(engine: AsyncEngine) -> None:
    """A job whose retry comes a moment later, on a quota that was raised, is not held to what went through before."""
    limiter = Limiter(engine)
    for _ in range(2):
        async with limiter.call("gemini", "key", Limits(), 10):
            pass
    with pytest.raises(ProviderRateLimited):
        async with limiter.call("gemini", "key", Limits(), 10):
            raise ProviderRateLimited(retry_after_s=86_400.0)
    for _ in range(5):
        async with limiter.call("gemini", "key", Limits(), 10, patience_s=20):
            pass


async def test_a_dead_process_gives_its_places_back(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls say no more that they are under way."""
    monkeypatch.setattr("infra.limiter.LEASE_S", 0.3)
    dead, alive = Limiter(engine), Limiter(engine)
    monkeypatch.setattr(dead, "_keep", lambda call: None)
    held = dead.call("voyage", "key", Limits(concurrency=1), 10)
    await held.__aenter__()
    async with alive.call("voyage", "key", Limits(concurrency=1), 10, patience_s=20):
        pass
    await held.__aexit__(None, None, None)


async def test_a_living_process_keeps_its_places(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.limiter.LEASE_S", 1.5)  # renewed three times in it, by a busy machine too
    first, second = Limiter(engine), Limiter(engine)
    async with first.call("voyage", "key", Limits(concurrency=1), 10):
        with pytest.raises(ProviderRateLimited):
            async with second.call("voyage", "key", Limits(concurrency=1), 10, patience_s=2.5):
                pass
