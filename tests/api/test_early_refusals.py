"""A request that is refused before its body was read: the client can read the answer, whichever way it sends."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.container import Container
from app.main import FORM_SLACK_BYTES
from interfaces_adaptor.http.lingering import LingeringClose
from tests.answering import listening

LIMIT = 50_000
MOST = LIMIT + FORM_SLACK_BYTES
INGEST = "/v1/document/ingest-markdown"
FORM = "multipart/form-data; boundary=b"
Reply = tuple[int, dict[str, Any]]


@pytest.fixture
def small(container: Container) -> Container:
    http_settings = container.settings.http.model_copy(update={"max_upload_bytes": LIMIT})
    settings = container.settings.model_copy(update={"http": http_settings})
    return Container(settings, container.engine, container.services, container.access, container.health)


def form(size: int) -> bytes:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="dataset_id"\r\n\r\nds\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n'
    )
    tail = b"\r\n--b--\r\n"
    return head + b"x" * (size - len(head) - len(tail)) + tail


def parts(body: bytes) -> Iterator[bytes]:
    yield from (body[at : at + 65_536] for at in range(0, len(body), 65_536))


def sent(url: str, path: str, body: Any, headers: dict[str, str], method: str = "POST") -> Reply:
    """As a script would do it with the standard library: all of the body first, then the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


async def refusal(url: str, path: str, body: Any, headers: dict[str, str], method: str = "POST") -> tuple[int, str]:
    status, answer = await asyncio.to_thread(sent, url, path, body, headers, method)
    assert set(answer["error"]) == {"code", "message", "details"}
    return status, answer["error"]["code"]


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("size", [MOST + 1, 40 * MOST], ids=["just above", "far above"])
async def test_a_body_over_the_limit_is_answered(small: Container, size: int, connection: str) -> None:
    headers = {"Content-Type": FORM, "Connection": connection}
    async with listening(small) as url:
        assert await refusal(url, INGEST, form(size), headers) == (413, "file_too_large")


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("size", [MOST + 1, 20 * MOST], ids=["just above", "far above"])
async def test_a_chunked_body_over_the_limit_is_answered(small: Container, size: int, connection: str) -> None:
    headers = {"Content-Type": FORM, "Connection": connection, "Transfer-Encoding": "chunked"}
    async with listening(small) as url:
        assert await refusal(url, INGEST, parts(form(size)), headers) == (413, "file_too_large")


async def test_a_file_over_the_limit_in_a_body_within_it_is_answered(small: Container) -> None:
    async with listening(small) as url:
        headers = {"Content-Type": FORM, "Connection": "close"}
        assert await refusal(url, INGEST, form(MOST - 1), headers) == (413, "file_too_large")


async def test_urllib_reads_the_refusal_too(small: Container) -> None:
    def post(url: str) -> int:
        request = urllib.request.Request(url + INGEST, form(20 * MOST), {"Content-Type": FORM})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)
        with refused.value as answer:
            assert json.load(answer)["error"]["code"] == "file_too_large"
            return answer.code

    async with listening(small) as url:
        assert await asyncio.to_thread(post, url) == 413


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("POST", "/nowhere", {"Content-Type": "text/plain"}, (404, "not_found")),
        ("PUT", INGEST, {"Content-Type": "text/plain"}, (405, "method_not_allowed")),
        ("POST", INGEST, {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
        ("POST", INGEST, {"Content-Type": FORM, "Origin": "https://evil.example"}, (403, "forbidden")),
        ("POST", "/v1/jobs/no-uuid/retry", {"Content-Type": "application/json"}, (422, "validation_error")),
    ],
    ids=["404", "405", "415", "403", "422"],
)
async def test_other_early_refusals_are_answered(
    container: Container, method: str, path: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async with listening(container) as url:
        body = b"x" * 15_000_000
        assert await refusal(url, path, body, headers | {"Connection": "close"}, method) == expected


async def test_a_client_without_a_key_is_told_so(container: Container) -> None:
    await container.access.create("default", "test")
    async with listening(container) as url:
        headers = {"Content-Type": FORM, "Connection": "close"}
        assert await refusal(url, INGEST, b"x" * 15_000_000, headers) == (401, "unauthenticated")


async def test_a_connection_whose_body_was_read_stays_open(small: Container) -> None:
    def twice(url: str) -> list[int]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        try:
            first_socket, statuses = None, []
            for _ in range(2):
                connection.request("POST", "/v1/retrieve", body=b"{}", headers={"Content-Type": "application/json"})
                first_socket = first_socket or connection.sock
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
                assert connection.sock is first_socket
            return statuses
        finally:
            connection.close()

    async with listening(small) as url:
        assert await asyncio.to_thread(twice, url) == [422, 422]


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"error": "too large"}, 413)(scope, receive, send)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """The port of a server for `app`."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            await running


async def dribble(port: int, pause_s: float) -> tuple[bytes, float]:
    """A client that announces a large body and sends a byte now and then: what it reads, and after how many seconds
    the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")

    async def send_slowly() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(pause_s)

    sending = asyncio.create_task(send_slowly())
    try:
        answer = await reader.readuntil(b"}")
        try:
            while await reader.read(1000):
                pass
        except ConnectionResetError:
            pass
        return answer, time.monotonic() - began
    finally:
        sending.cancel()
        writer.close()


@pytest.mark.parametrize(
    ("pause_s", "limits"),
    [
        (0.05, {"idle_s": 30.0, "total_s": 0.5}),
        (20.0, {"idle_s": 0.3, "total_s": 30.0}),
        (0.01, {"idle_s": 30.0, "total_s": 30.0, "most_bytes": 20}),
    ],
    ids=["too slow in all", "silent", "more bytes than are dropped"],
)
async def test_a_slow_client_is_answered_at_once_and_not_listened_to_for_ever(
    pause_s: float, limits: dict[str, Any]
) -> None:
    async with serving(LingeringClose(refuse, **limits)) as port, asyncio.timeout(15):
        answer, ended_after_s = await dribble(port, pause_s)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert ended_after_s < 10


async def test_a_client_that_waits_for_the_go_ahead_is_not_waited_for() -> None:
    async with serving(LingeringClose(refuse, idle_s=30.0, total_s=30.0)) as port, asyncio.timeout(15):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413")
