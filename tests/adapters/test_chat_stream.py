"""Streams from a chat provider: what comes out, what is paid, and what is left behind when they end too early."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import text

from app.container import Container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from services.cost.budget import Budget, CallContext, Meter
from services.domain import TenantId
from services.errors import BudgetExceeded, ProviderError
from services.models.chat import ChatAnswer, ChatRequest
from tests.answering import asking

MODEL = "openai/gpt-6-luna"
REQUEST = ChatRequest(purpose="answer", system="Echo.", user="One two three four five six. " * 12, max_tokens=200)


@pytest.fixture
def settings(settings: Settings, provider: RunningFakeProvider) -> Settings:
    return asking(settings, provider)


async def streamed(container: Container, context: CallContext) -> list[str | ChatAnswer]:
    model = container.services.models.chat(MODEL, context)
    async with aclosing(model.stream(REQUEST)) as parts:
        return [part async for part in parts]


async def ledger(container: Container) -> dict[str, Any]:
    async with container.engine.connect() as connection:
        row = await connection.execute(
            text(
                "select coalesce(sum(calls), 0) as calls, coalesce(sum(input_tokens), 0) as input_tokens,"
                " coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(cost), 0) as cost from usage_ledger"
            )
        )
        return dict(row.one()._mapping)


async def open_calls(container: Container) -> int:
    async with container.engine.connect() as connection:
        return int(await connection.scalar(text("select count(*) from provider_calls where finished_at is null")) or 0)


async def test_the_parts_are_the_answer_and_it_is_paid_once(container: Container, tenant: TenantId) -> None:
    context = CallContext(tenant)
    *parts, answer = await streamed(container, context)
    assert isinstance(answer, ChatAnswer)
    assert "".join(str(part) for part in parts) == answer.text != ""
    assert len(parts) > 2
    assert answer.finish_reason == "stop"
    assert (await ledger(container))["calls"] == answer.usage.calls == 1
    assert context.meter.used == answer.usage
    assert await open_calls(container) == 0


@pytest.mark.parametrize("kind", ["status", "refuse_connection", "html", "invalid_json"])
async def test_a_stream_that_does_not_begin_is_tried_again(
    container: Container, tenant: TenantId, provider: RunningFakeProvider, kind: str
) -> None:
    provider.faults({"kind": kind})
    answer = (await streamed(container, CallContext(tenant)))[-1]
    assert isinstance(answer, ChatAnswer)
    assert provider.stats()["calls"] == 2
    assert (await ledger(container))["calls"] == 1


@pytest.mark.parametrize("kind", ["reset", "truncated_json"])
async def test_a_stream_that_breaks_off_is_an_error_and_what_came_is_booked(
    container: Container, tenant: TenantId, provider: RunningFakeProvider, kind: str
) -> None:
    provider.faults({"kind": kind, "count": None})
    came = ""
    with pytest.raises(ProviderError):
        async with aclosing(container.services.models.chat(MODEL, CallContext(tenant)).stream(REQUEST)) as parts:
            async for part in parts:
                came += str(part)
    assert came
    booked = await ledger(container)
    assert booked["calls"] == 1
    assert booked["output_tokens"] > 0
    assert await open_calls(container) == 0


@pytest.mark.parametrize(
    ("kind", "reason"), [("empty", "stop"), ("refusal", "refused"), ("length", "length"), ("no_usage", "stop")]
)
async def test_how_an_answer_ended_is_told(
    container: Container, tenant: TenantId, provider: RunningFakeProvider, kind: str, reason: str
) -> None:
    provider.faults({"kind": kind})
    answer = (await streamed(container, CallContext(tenant)))[-1]
    assert isinstance(answer, ChatAnswer)
    assert answer.finish_reason == reason
    assert answer.usage.input_tokens > 0
    assert bool(answer.text) == (kind in ("length", "no_usage"))


async def test_who_hangs_up_in_the_middle_ends_the_call_and_pays_for_what_came(
    container: Container, tenant: TenantId, provider: RunningFakeProvider
) -> None:
    provider.faults({"kind": "hang_midway"})
    context = CallContext(tenant)
    stream = container.services.models.chat(MODEL, context).stream(REQUEST)
    first = await anext(stream)
    await stream.aclose()
    assert isinstance(first, str)
    assert await open_calls(container) == 0
    booked = await ledger(container)
    assert booked["calls"] == context.meter.used.calls == 1
    assert 0 < booked["output_tokens"] < REQUEST.max_tokens
    await gone(provider)


async def test_who_hangs_up_before_the_first_part_pays_for_the_question(
    container: Container, tenant: TenantId, provider: RunningFakeProvider
) -> None:
    provider.faults({"kind": "hang"})
    task = asyncio.create_task(streamed(container, CallContext(tenant)))
    await under_way(provider)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await open_calls(container) == 0
    booked = await ledger(container)
    assert (booked["calls"], booked["output_tokens"]) == (1, 0)
    assert booked["input_tokens"] > 0
    await gone(provider)


async def test_a_refused_stream_costs_nothing(
    container: Container, tenant: TenantId, provider: RunningFakeProvider
) -> None:
    provider.faults({"kind": "insufficient_quota", "count": None})
    with pytest.raises(ProviderError):
        await streamed(container, CallContext(tenant))
    assert provider.stats()["calls"] == 1
    assert (await ledger(container))["calls"] == 0


async def test_a_budget_stops_a_stream_before_it_is_asked_for(
    container: Container, tenant: TenantId, provider: RunningFakeProvider
) -> None:
    with pytest.raises(BudgetExceeded):
        await streamed(container, CallContext(tenant, meter=Meter(Budget(max_cost=1e-9))))
    assert provider.stats()["calls"] == 0


async def under_way(provider: RunningFakeProvider) -> None:
    async with asyncio.timeout(20):
        while provider.stats()["in_flight"] == 0:
            await asyncio.sleep(0.02)


async def gone(provider: RunningFakeProvider) -> None:
    async with asyncio.timeout(20):
        while provider.stats()["in_flight"]:
            await asyncio.sleep(0.02)
