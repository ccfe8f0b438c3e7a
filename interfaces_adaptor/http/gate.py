"""What every request passes before an endpoint sees it: its id, who asks, and whether that may come from there.

While no API key exists the service is open to this computer alone. Two ways lead a website into it through its owner's
browser: posting a form (no preflight protects from that), and a host name that is made to point to 127.0.0.1. Hence
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

from interfaces_adaptor.http.errors import STATUS, error_response
from services.access import ApiKeys
from services.domain import DEFAULT_TENANT, TenantId
from services.errors import FileTooLarge, Forbidden, RaptorError, Unauthenticated

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Asked by machines that hold no key: process supervisors, load balancers, and the reader of the API's description.
OPEN_PATHS = {"/healthz", "/readyz", "/docs", "/openapi.json"}
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}

logger = structlog.get_logger("http")


class Gate:
    """Wraps the whole application, so that the answer to a defect carries the request's id too."""

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
                # Out here no handler of the framework's catches anything.
                told = error if isinstance(error, RaptorError) else RaptorError()
                if told is not error:
                    logger.error("the gate met a defect", exc_info=error)
                response = error_response(told.code, told.message, told.details, STATUS[told.code])
                await response(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
            took_ms = round(1000 * (time.perf_counter() - began), 1)
            logger.info("request", method=scope["method"], path=scope["path"], status=status, took_ms=took_ms)

    async def _admit(self, scope: Scope, headers: Headers) -> TenantId:
        # The framework stops a body that grows too large; one that says so beforehand is answered in our words here.
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
                "This service has no API key any more and is reachable from other machines, so that it answers nobody:"
                " create a key with `raptor keys create`."
            )
        self._check_origin(scope["method"], headers)
        return DEFAULT_TENANT

    def _check_origin(self, method: str, headers: Headers) -> None:
        host = host_of(f"//{headers.get('host', '')}")
        if host not in self._hosts:
            raise Forbidden(
                "Without an API key this service answers to localhost and 127.0.0.1 only; RAPTOR_ALLOWED_HOSTS adds"
                " names.",
                host=host,
            )
        if method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or (
            origin is not None and host_of(origin) not in self._hosts
        ):
            raise Forbidden("A web page of another site must not change anything here.", origin=origin)


def host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
