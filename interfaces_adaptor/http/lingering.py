"""Refusals that clients can read: the rest of a request's body is received and dropped before the connection closes.

A server that closes with bytes of the body unread resets the connection, and the reset can overtake the answer: clients
that send everything before they read (Python's `http.client` and `urllib`) then never see the 413. nginx calls the
remedy lingering close. The answer goes out at once; only the end of the connection waits.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# As in nginx: how long the next bytes may take, and how long all of them.
IDLE_S, TOTAL_S = 5.0, 30.0
# On a fast network time alone would let gigabytes in.
MOST_BYTES = 256 * 1024 * 1024


class RequestBody:
    """Wraps `receive` and remembers how much of the body has been read."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._asked = False
        # A client that waits for `100 Continue` has not sent its body, and does not after a final answer.
        self._waits_for_go = headers.get("expect", "").lower() == "100-continue"
        self._ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

    @property
    def unread(self) -> bool:
        return not self._ended and not (self._waits_for_go and not self._asked)

    async def receive(self) -> Message:
        self._asked = True
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._ended = True
        return message

    async def drop(self, idle_s: float, total_s: float, most_bytes: int) -> None:
        """Receives until the body ends, or a limit is reached."""
        dropped = 0
        try:
            async with asyncio.timeout(total_s):
                while not self._ended and dropped <= most_bytes:
                    async with asyncio.timeout(idle_s):
                        dropped += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass


class LingeringClose:
    """Wraps the whole application. An answer that is sent before the body was read closes its connection."""

    def __init__(
        self, app: ASGIApp, *, idle_s: float = IDLE_S, total_s: float = TOTAL_S, most_bytes: int = MOST_BYTES
    ) -> None:
        self._app = app
        self._limits = (idle_s, total_s, most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = RequestBody(scope, receive)
        held = False

        async def answer(message: Message) -> None:
            nonlocal held
            if body.unread and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            elif body.unread and message["type"] == "http.response.body" and not message.get("more_body", False):
                held = True
                message = {**message, "more_body": True}
            await send(message)

        try:
            await self._app(scope, body.receive, answer)
        finally:
            if held:
                await body.drop(*self._limits)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
