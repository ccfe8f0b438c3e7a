"""Answers that come in parts: who produces them goes at its own speed, who reads them at theirs, and a client that
hangs up ends the work."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
# Nothing to send for so long: a comment, so that proxies keep the connection and a dead one is noticed.
QUIET_S = 15.0
# A reader that takes nothing for so long has its connection closed. The work is not held up by it in any case.
SEND_S = 30.0

Encode = Callable[[str, Mapping[str, Any]], bytes]


class HungUp(Exception):
    """The client is gone; nobody reads an answer."""


def as_sse(event: str, data: Mapping[str, Any]) -> bytes:
    return format_sse_event(event=event, data_str=json.dumps(data, ensure_ascii=False))


def as_ndjson(event: str, data: Mapping[str, Any]) -> bytes:
    return json.dumps({"event": event, "data": data}, ensure_ascii=False).encode() + b"\n"


ENCODINGS: dict[str, Encode] = {SSE: as_sse, NDJSON: as_ndjson}


def wanted_type(accept: str) -> str:
    """Of JSON and the two streams the one that `Accept` prefers; JSON where it names none of them."""
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
    """Runs a producer in a task of its own. What it has produced waits here: all of an answer fits into memory, and a
    provider's connection and the place in its limits are not held by a slow reader."""

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


class EventStream(Response):
    """Named events out of a relay, as SSE or NDJSON. `failed` turns what the producer raises into a last event."""

    def __init__(
        self,
        relay: Relay[tuple[str, Mapping[str, Any]]],
        first: tuple[str, Mapping[str, Any]],
        media_type: str,
        failed: Callable[[Exception], tuple[str, Mapping[str, Any]]],
        *,
        quiet_s: float = QUIET_S,
        send_s: float = SEND_S,
    ) -> None:
        super().__init__(media_type=media_type, headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._relay = relay
        self._first = first
        self._encode = ENCODINGS[media_type]
        self._failed = failed
        self._quiet_s = quiet_s
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(hang_up(receive))
        try:
            async with asyncio.timeout(self._send_s):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send, self._encode(*self._first))
            await self._send_rest(send, gone)
        except TimeoutError:
            logger.info("a stream is ended: its reader takes nothing")
        finally:
            gone.cancel()
            await self._relay.close()

    async def _send_rest(self, send: Send, gone: asyncio.Task[None]) -> None:
        coming: asyncio.Task[tuple[str, Mapping[str, Any]] | None] | None = None
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
                    await self._send(send, self._encode(*self._failed(error)), last=True)
                    return
                event = done.result()
                await self._send(send, self._encode(*event) if event is not None else b"", last=event is None)
                if event is None:
                    return
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _send(self, send: Send, body: bytes, *, last: bool = False) -> None:
        async with asyncio.timeout(self._send_s):
            await send({"type": "http.response.body", "body": body, "more_body": not last})
