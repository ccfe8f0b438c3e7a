"""Event streams, as SSE or NDJSON: the producer does not wait for a slow reader, and a client that hangs up ends the
work.

FastAPI's own SSE serves endpoints that are generators. Ours choose the form by `Accept`, answer with an error's status
when nothing can be streamed, and close on readers that take nothing; only FastAPI's encoder is used.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.errors import RaptorError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
# After so long without an event a comment is sent: proxies keep the connection, and a dead one is noticed.
QUIET_S = 15.0
# A reader that takes nothing for so long loses its connection.
SEND_S = 30.0

NamedEvent = tuple[str, Mapping[str, Any]]


class HungUp(Exception):
    """The client has closed the connection."""


def as_sse(event: str, data: Mapping[str, Any], number: int | None = None, retry_ms: int | None = None) -> bytes:
    identity = None if number is None else str(number)
    return format_sse_event(event=event, data_str=json.dumps(data, ensure_ascii=False), id=identity, retry=retry_ms)


def as_ndjson(event: str, data: Mapping[str, Any]) -> bytes:
    return json.dumps({"event": event, "data": data}, ensure_ascii=False).encode() + b"\n"


def failed(error: Exception) -> NamedEvent:
    """The last event of a stream whose producer raised."""
    told = error if isinstance(error, RaptorError) else RaptorError()
    if told is not error:
        logger.error("a stream failed unexpectedly", exc_info=error)
    return "error", told.as_json()


def wanted_type(accept: str) -> str:
    """Of JSON and the two streams the one that `Accept` prefers; JSON where it names none of them."""
    # Three exact types need no library, and no installed one negotiates: of wildcards JSON is the answer anyway.
    best, best_quality = JSON, 0.0
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = float(value) if value.strip().replace(".", "", 1).isdecimal() else 0.0
        if kind in (SSE, NDJSON, JSON) and quality > best_quality:
            best, best_quality = kind, quality
    return best


async def hang_up(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_hung_up(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The work's result. Raises HungUp, with the work cancelled and ended, when the client is gone before that."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(hang_up(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HungUp
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


class Relay(Generic[Item]):
    """Runs a producer in a task of its own and queues its items: a slow reader does not hold a provider's connection or
    a place in its limits. A whole answer fits into memory."""

    def __init__(self, source: AsyncGenerator[Item, None]) -> None:
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(source))

    async def _run(self, source: AsyncGenerator[Item, None]) -> None:
        try:
            async for item in source:
                self._items.put_nowait(item)
        finally:
            await source.aclose()
            self._items.put_nowait(None)

    async def next(self) -> Item | None:
        """None at the end. Raises what the producer raised."""
        item = await self._items.get()
        if item is None:
            self._items.put_nowait(None)
            await self._task
        return item

    async def close(self) -> None:
        """Ends the producer where it stands, and waits until it has left everything."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def stream_of(
    request: Request, events: AsyncGenerator[NamedEvent, None], media_type: str, *, retry_ms: int | None = None
) -> Response:
    """Begins with the first event, so that a request that cannot be served is an error with its own status. Raises
    HungUp, and what the producer raises before that event."""
    relay = Relay(events)
    try:
        first = await unless_hung_up(request.receive, relay.next())
    except BaseException:
        await relay.close()
        raise
    assert first is not None
    return EventStream(relay, first, media_type, retry_ms=retry_ms)


class EventStream(Response):
    """Named events from a relay, as SSE or NDJSON; an exception of the producer becomes a last event `error`. With
    `retry_ms` SSE events are numbered, and browsers reconnect after that time."""

    media_type = SSE

    def __init__(
        self,
        relay: Relay[NamedEvent],
        first: NamedEvent,
        media_type: str,
        *,
        retry_ms: int | None = None,
        quiet_s: float = QUIET_S,
        send_s: float = SEND_S,
    ) -> None:
        super().__init__(media_type=media_type, headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._relay = relay
        self._first = first
        self._retry_ms = retry_ms
        self._sent = 0
        self._quiet_s = quiet_s
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(hang_up(receive))
        try:
            async with asyncio.timeout(self._send_s):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send, self._encoded(self._first))
            await self._send_rest(send, gone)
        except TimeoutError:
            logger.info("a stream was closed: its reader takes nothing")
        finally:
            gone.cancel()
            await self._relay.close()

    def _encoded(self, event: NamedEvent) -> bytes:
        if self.media_type == NDJSON:
            return as_ndjson(*event)
        number = None if self._retry_ms is None else self._sent
        self._sent += 1
        return as_sse(*event, number, self._retry_ms)

    async def _send_rest(self, send: Send, gone: asyncio.Task[None]) -> None:
        coming: asyncio.Task[NamedEvent | None] | None = None
        try:
            while True:
                coming = coming or asyncio.create_task(self._relay.next())
                await asyncio.wait({coming, gone}, timeout=self._quiet_s, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                if not coming.done():
                    await self._send(send, KEEPALIVE_COMMENT if self.media_type == SSE else b"\n")
                    continue
                done, coming = coming, None
                if (error := done.exception()) is not None:
                    if not isinstance(error, Exception):
                        raise error
                    await self._send(send, self._encoded(failed(error)), last=True)
                    return
                event = done.result()
                await self._send(send, self._encoded(event) if event is not None else b"", last=event is None)
                if event is None:
                    return
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _send(self, send: Send, body: bytes, *, last: bool = False) -> None:
        async with asyncio.timeout(self._send_s):
            await send({"type": "http.response.body", "body": body, "more_body": not last})
