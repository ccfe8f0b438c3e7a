"""Access to the API: who sends a request, and from where. Also the request's id, and the line in the log.

While no API key exists, only this computer may use the service. A website could still reach it through its visitor's
browser, by posting a form (browsers send no preflight for that) or with a host name that resolves to 127.0.0.1. So
unsafe methods from a foreign origin are refused, and so is every Host that is not this computer.
"""

from __future__ import annotations

import re
import time
import uuid
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interfaces_adaptor.http.errors import response_to
from services.access import ApiKeys
from services.domain import DEFAULT_TENANT, TenantId
from services.errors import FileTooLarge, Forbidden, RaptorError, Unauthenticated

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Open to clients without a key: process supervisors, load balancers, and whoever reads the API's documentation.
OPEN_PATHS = {"/healthz", "/readyz", "/docs", "/openapi.json"}
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}

logger = structlog.get_logger("http")


class AccessMiddleware:
    """Wraps the whole application, so that even a 500 carries the request's id."""

    def __init__(
        self,
        app: ASGIApp,
        access: ApiKeys,
        *,
        max_body_bytes: int,
        loopback: bool,
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._access = access
        self._max_body_bytes = max_body_bytes
        self._loopback = loopback
        self._hosts = LOCAL_NAMES | set(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not REQUEST_ID.match(request_id):
            request_id = uuid.uuid4().hex
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                outgoing = MutableHeaders(scope=message)
                outgoing["x-request-id"] = request_id
                for name, value in HEADERS.items():
                    outgoing.setdefault(name, value)
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                scope.setdefault("state", {})["tenant"] = await self._admit(scope, headers)
            except Exception as error:
                # Outside the framework, whose exception handlers do not reach here.
                told = error if isinstance(error, RaptorError) else RaptorError()
                if told is not error:
                    logger.error("access check failed unexpectedly", exc_info=error)
                await response_to(told)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
            took_ms = round(1000 * (time.perf_counter() - began), 1)
            logger.info("request", method=scope["method"], path=scope["path"], status=status, took_ms=took_ms)

    async def _admit(self, scope: Scope, headers: Headers) -> TenantId:
        # The framework stops a body that grows too large; one that announces it is refused here, before it is read.
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise FileTooLarge(limit=self._max_body_bytes)
        if scope["path"] in OPEN_PATHS or scope["path"].startswith("/docs/"):
            return DEFAULT_TENANT
        if await self._access.keys_exist():
            scheme, _, secret = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated
            return await self._access.tenant_of(secret.strip())
        if not self._loopback:
            raise Unauthenticated(
                "This service is reachable from other machines and has no API key any more, so it refuses all requests."
                " Create a key with `raptor keys create`."
            )
        self._check_origin(scope["method"], headers)
        return DEFAULT_TENANT

    def _check_origin(self, method: str, headers: Headers) -> None:
        host = host_of(f"//{headers.get('host', '')}")
        if host not in self._hosts:
            raise Forbidden(
                "Without an API key the service accepts only localhost and 127.0.0.1 as host; RAPTOR_ALLOWED_HOSTS adds"
                " names.",
                host=host,
            )
        if method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or (
            origin is not None and host_of(origin) not in self._hosts
        ):
            raise Forbidden("Requests from web pages of other sites are refused.", origin=origin)


def host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
