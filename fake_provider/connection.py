"""The wire: how an answer is sent, late, slowly, in parts, or not at all."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from starlette.types import Receive, Scope, Send

from fake_provider.faults import FaultRule

ABORT: Final = "fake_provider.abort"
"""The ASGI extension by which a server lets the application cut the connection: `abort(reset: bool)`."""

_JSON = "application/json"
_EVENTS = "text/event-stream; charset=utf-8"
_MEGABYTE = 1 << 20
_PADDING = b" " * (1 << 16)


@dataclass(frozen=True, slots=True)
class Answer:
    """`parts` are sent one by one; a body of one part has its length in the header, a stream has not."""

    parts: tuple[bytes, ...]
    status: int = 200
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def streams(self) -> bool:
        return self.content_type == _EVENTS

    @classmethod
    def events(cls, parts: tuple[bytes, ...]) -> Answer:
        return cls(parts, content_type=_EVENTS)


class Connection:
    """One request and its answer, over any ASGI server. Where that cannot cut connections, as in process, cutting one
    raises ConnectionResetError."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._abort: Callable[[bool], None] | None = scope.get("extensions", {}).get(ABORT)

    async def body(self) -> bytes:
        received = bytearray()
        while True:
            message = await self._receive()
            received += message.get("body", b"")
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return bytes(received)

    async def wait(self, seconds: float) -> None:
        """Ends early when the client has gone."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._gone(), seconds)
            except TimeoutError:
                return

    async def start(self, answer: Answer, *, length: int | None, encoding: str | None = None) -> None:
        headers = {"content-type": answer.content_type, **answer.headers}
        if length is not None:
            headers["content-length"] = str(length)
        if encoding is not None:
            headers["content-encoding"] = encoding
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def cut(self, *, reset: bool = False) -> None:
        """Closes the connection: politely, or with a reset that drops what was not delivered yet."""
        if self._abort is None:
            raise ConnectionResetError("the fake provider closed the connection")
        self._abort(reset)
        await self._gone()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


Delivery = Callable[[Connection, Answer, FaultRule], Awaitable[None]]


async def deliver(connection: Connection, answer: Answer, rule: FaultRule | None) -> None:
    """Sends the answer as the rule says; a rule that is not about the way leaves it as it is."""
    special = DELIVERIES.get(rule.kind) if rule is not None and answer.status == 200 else None
    if rule is None or special is None:
        await _whole(connection, answer)
    else:
        await special(connection, answer, rule)


async def _whole(connection: Connection, answer: Answer) -> None:
    await connection.start(answer, length=None if answer.streams else sum(map(len, answer.parts)))
    for part in answer.parts[:-1]:
        await connection.write(part)
    await connection.write(answer.parts[-1], more=False)


async def _nothing(connection: Connection, _answer: Answer, _rule: FaultRule) -> None:
    await connection.cut()


async def _hang(connection: Connection, _answer: Answer, rule: FaultRule) -> None:
    await connection.wait(rule.seconds)
    await connection.cut()


async def _half(connection: Connection, answer: Answer) -> None:
    body = b"".join(answer.parts)
    await connection.start(answer, length=None if answer.streams else len(body))
    await connection.write(body[: len(body) // 2])


async def _reset(connection: Connection, answer: Answer, _rule: FaultRule) -> None:
    await _half(connection, answer)
    await connection.wait(0.05)  # a reset overtakes what is still on its way
    await connection.cut(reset=True)


async def _hang_midway(connection: Connection, answer: Answer, rule: FaultRule) -> None:
    await _half(connection, answer)
    await connection.wait(rule.seconds)
    await connection.cut()


async def _slow(connection: Connection, answer: Answer, rule: FaultRule) -> None:
    body = b"".join(answer.parts)
    await connection.start(answer, length=None if answer.streams else len(body))
    for byte in body:
        await connection.write(bytes([byte]))
        await connection.wait(1 / rule.bytes_per_second)
    await connection.write(b"", more=False)


async def _late(connection: Connection, answer: Answer, rule: FaultRule) -> None:
    await connection.wait(rule.seconds)
    await _whole(connection, answer)


async def _huge(connection: Connection, answer: Answer, rule: FaultRule) -> None:
    """White space before a right answer, and no length in the header: only who counts notices."""
    await connection.start(answer, length=None)
    for _ in range(rule.megabytes * _MEGABYTE // len(_PADDING)):
        await connection.write(_PADDING)
    await connection.write(b"".join(answer.parts), more=False)


async def _bomb(connection: Connection, answer: Answer, rule: FaultRule) -> None:
    """The same, in a few kilobytes."""
    padding, compressor = await asyncio.to_thread(_compressed_padding, rule.megabytes)
    ending = compressor.copy()
    body = padding + ending.compress(b"".join(answer.parts)) + ending.flush()
    await connection.start(answer, length=len(body), encoding="gzip")
    await connection.write(body, more=False)


@lru_cache(maxsize=4)
def _compressed_padding(megabytes: int) -> tuple[bytes, zlib._Compress]:
    """So much white space as the beginning of a gzip stream, and what goes on with it."""
    compressor = zlib.compressobj(wbits=31)
    return b"".join(compressor.compress(_PADDING) for _ in range(megabytes * _MEGABYTE // len(_PADDING))), compressor


DELIVERIES: Mapping[str, Delivery] = {
    "refuse_connection": _nothing,
    "hang": _hang,
    "reset": _reset,
    "hang_midway": _hang_midway,
    "slow": _slow,
    "late_success": _late,
    "huge_body": _huge,
    "gzip_bomb": _bomb,
}
UNANSWERED: Final = frozenset({"refuse_connection", "hang"})
"""Kinds with which the provider does not even begin to work."""
