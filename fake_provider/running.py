"""Serving: in the foreground for people, in a thread for tests."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from fake_provider.app import create_fake_provider
from fake_provider.connection import ABORT

_LOOPBACK = "127.0.0.1"
_START_S = 30.0


class CannotListen(RuntimeError):
    """The address is taken or not one of this machine; the message says which one and what to do."""


def serve(host: str = _LOOPBACK, port: int = 0, *, announce: Callable[[str], None], **options: Any) -> None:
    """Until SIGINT or SIGTERM. `announce` is called with the URL when requests are answered; port 0 picks a free one.
    The options are those of `create_fake_provider`. Raises CannotListen."""
    with _listening(host, port) as sock:
        server = _Server(create_fake_provider(**options), started=lambda: announce(_url_of(sock)))
        # Uvicorn raises the signal again when it has stopped.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[sock])


class RunningFakeProvider:
    """A fake provider under way at `url`, and what can be asked of it and told to it."""

    def __init__(self, url: str, client: httpx2.Client) -> None:
        self.url = url
        self._client = client

    def stats(self) -> dict[str, Any]:
        """All that is counted."""
        return dict(self._asked("GET", "/_totals"))

    def calls(self, limit: int = 50) -> list[dict[str, Any]]:
        """The most recent first."""
        return list(self._asked("GET", f"/_calls?limit={limit}"))

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Adds rules; raises ValueError for one that is not understood."""
        answer = self._client.post("/_faults", json=[dict(rule) for rule in rules])
        if answer.is_error:
            raise ValueError(answer.text)

    def programmed(self) -> list[dict[str, Any]]:
        """The rules that are set, with how many calls each has `seen` and on how many it `struck`."""
        return list(self._asked("GET", "/_faults"))

    def clear_faults(self) -> None:
        self._asked("DELETE", "/_faults")

    def reset(self) -> None:
        """As if it had just been started: no rules, no counts, no windows."""
        self.clear_faults()
        self._asked("POST", "/_reset")

    def _asked(self, method: str, path: str) -> Any:
        return self._client.request(method, path).raise_for_status().json()


@contextmanager
def running_fake_provider(**options: Any) -> Iterator[RunningFakeProvider]:
    """One in a thread of this process, on a free port of the loopback interface; the options are those of
    `create_fake_provider`. What is under way at the end is cut."""
    started = threading.Event()
    with _listening(_LOOPBACK, 0) as sock:
        url = _url_of(sock)
        server = _Server(create_fake_provider(**options), started=started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="fake-provider", daemon=True)
        thread.start()
        try:
            if not started.wait(_START_S):
                raise RuntimeError(f"the fake provider did not start within {_START_S:.0f} s")
            with httpx2.Client(base_url=url, trust_env=False, timeout=_START_S) as client:
                yield RunningFakeProvider(url, client)
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    def __init__(self, app: FastAPI, *, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_CuttableConnection,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=300,  # longer than clients keep connections, so that none is closed under a request
                timeout_graceful_shutdown=2,
            )
        )
        self._when_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Calls that hang on purpose would be waited for."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


class _CuttableConnection(H11Protocol):
    """Gives the application what no ASGI server does: a way to close the connection in the middle of an answer."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app = _with_abort(self.app, self._cut)

    def _cut(self, reset: bool) -> None:
        if reset:
            # Closing with a linger time of zero sends RST instead of FIN.
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _with_abort(app: ASGIApp, abort: Callable[[bool], None]) -> ASGIApp:
    async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**scope.get("extensions", {}), ABORT: abort}
        await app({**scope, "extensions": extensions}, receive, send)

    return cuttable


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            message = f"Cannot listen on {host}:{port} ({error.strerror}). Any free port: --port 0"
            raise CannotListen(message) from error
        sock.listen(2048)
        yield sock


def _url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
