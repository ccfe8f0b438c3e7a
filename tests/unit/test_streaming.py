"""Streams at the edge: what is asked for, slow readers, silence, and clients that go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, MutableMapping
from typing import Any

import pytest

from interfaces_adaptor.http.streaming import (
    JSON,
    NDJSON,
    SSE,
    EventStream,
    HungUp,
    Relay,
    as_ndjson,
    as_sse,
    unless_hung_up,
    wanted_type,
)
from services.errors import BudgetExceeded, RaptorError

Event = tuple[str, Mapping[str, Any]]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        ("text/event-stream", SSE),
        ("Text/Event-Stream; charset=utf-8", SSE),
        ("application/x-ndjson, */*", NDJSON),
        ("application/json, text/event-stream", JSON),
        ("application/json;q=0.5, text/event-stream", SSE),
        ("text/event-stream;q=0, application/x-ndjson;q=0.1", NDJSON),
        ("text/event-stream;q=nonsense", JSON),
        (";;;,,q=1", JSON),
    ],
)
def test_the_form_is_the_one_that_accept_prefers(accept: str, wanted: str) -> None:
    assert wanted_type(accept) == wanted


def test_an_event_is_one_line_whatever_is_in_it() -> None:
    data = {"text": "a\nb\r\n\u2028c\n\ndata: d"}
    assert as_ndjson("delta", data).count(b"\n") == 1
    assert as_sse("delta", data).count(b"\n") == 3


class Client:
    """Takes what is sent; `after` bodies it takes no more, and with `leaves` it is gone then."""

    def __init__(self, after: int = 1_000, *, leaves: bool = False) -> None:
        self.bodies: list[bytes] = []
        self._after = after
        self._leaves = leaves
        self._gone = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] != "http.response.body":
            return
        self.bodies.append(message["body"])
        if len(self.bodies) == self._after:
            if self._leaves:
                self._gone.set()
            else:
                await asyncio.Event().wait()


class Source:
    def __init__(self, *pauses: float, error: Exception | None = None) -> None:
        self.ended = False
        self._pauses = pauses
        self._error = error

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            for number, pause in enumerate(self._pauses):
                await asyncio.sleep(pause)
                yield "delta", {"n": number}
            if self._error is not None:
                raise self._error
        finally:
            self.ended = True


async def streamed(source: Source, client: Client, media_type: str = NDJSON, **options: Any) -> None:
    relay = Relay(source.events())
    first = await relay.next()
    assert first is not None
    stream = EventStream(relay, first, media_type, **options)
    async with asyncio.timeout(5):
        await stream({}, client.receive, client.send)
    assert source.ended


async def test_all_events_come_and_the_stream_ends() -> None:
    client = Client()
    await streamed(Source(0, 0, 0), client)
    assert client.bodies == [as_ndjson("delta", {"n": number}) for number in range(3)] + [b""]


async def test_a_failure_is_the_last_event() -> None:
    client = Client()
    refused = BudgetExceeded(limit=1)
    await streamed(Source(0, error=refused), client)
    assert client.bodies[1:] == [as_ndjson("error", refused.as_json())]


async def test_an_unexpected_failure_is_told_without_its_insides() -> None:
    client = Client()
    await streamed(Source(0, error=ValueError("secret")), client)
    assert client.bodies[1:] == [as_ndjson("error", RaptorError().as_json())]


async def test_numbered_events_say_when_to_reconnect() -> None:
    client = Client()
    await streamed(Source(0, 0), client, SSE, retry_ms=3000)
    assert client.bodies == [as_sse("delta", {"n": number}, number, 3000) for number in range(2)] + [b""]
    assert b"id: 1\nretry: 3000\n" in client.bodies[1]


async def test_silence_is_filled_so_that_the_connection_stays() -> None:
    client = Client()
    await streamed(Source(0, 0.3), client, SSE, quiet_s=0.05)
    assert b": ping\n\n" in client.bodies


async def test_a_client_that_leaves_ends_the_source() -> None:
    await streamed(Source(0, 0, 3600), Client(after=2, leaves=True))


async def test_a_reader_that_takes_nothing_is_left_and_does_not_slow_the_source() -> None:
    source = Source(*[0.0] * 500)
    relay_read = asyncio.create_task(streamed(source, Client(after=1), send_s=0.5))
    async with asyncio.timeout(0.4):
        while not source.ended:
            await asyncio.sleep(0.01)
    await relay_read


async def test_work_is_ended_for_who_hangs_up_and_its_result_or_error_is_given_to_who_stays() -> None:
    ended = asyncio.Event()

    async def work(seconds: float) -> int:
        try:
            await asyncio.sleep(seconds)
            if not seconds:
                return 1
            raise ValueError("broken")
        finally:
            ended.set()

    async def stays() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def leaves() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    assert await unless_hung_up(stays, work(0)) == 1
    with pytest.raises(ValueError, match="broken"):
        await unless_hung_up(stays, work(0.01))
    ended.clear()
    with pytest.raises(HungUp):
        await unless_hung_up(leaves, work(3600))
