"""How a webhook's message leaves: signed, to a public address only, once, and for a bounded time.

Whoever may add a webhook could otherwise have this service call whatever it can reach and others cannot. A name is
therefore resolved once for each connection, every address that it has is checked, and the connection goes to one of
these: a name that leads elsewhere a moment later changes nothing. Redirects are not followed, no proxy of the
environment's is used, and the answer's body is not read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpcore2
import httpx2
from standardwebhooks import Webhook as Signature

from services.errors import WebhookUrlRefused
from services.webhooks import Outcome

# For everything: the name, the connection, TLS, the message and the head of the answer.
TIMEOUT_S = 15.0
MOST_CONNECTIONS = 50
LONGEST_URL = 2_000
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddress(httpcore2.ConnectError):
    """The name leads to an address that is not public."""


def is_public(address: Address) -> bool:
    """Also of what an IPv6 address carries inside: it leads to that IPv4 address."""
    inner = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner += [carried for carried in (address.ipv4_mapped, address.sixtofour) if carried is not None]
        inner += address.teredo or ()
        if address in NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return all(one.is_global and not one.is_multicast for one in inner)


async def addresses_of(host: str, port: int) -> list[Address]:
    """Raises OSError for a name that there is not."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    unique = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(one) for one in unique]


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no other."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            found = await addresses_of(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} has no address") from error
        if not self._allow_private and not all(map(is_public, found)):
            raise PrivateAddress(f"{host} leads to a private address")
        for address in found[:-1]:
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except httpcore2.ConnectError:
                continue
        return await self._plain.connect_tcp(str(found[-1]), port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedAddresses:
    """Implements `services.webhooks.WebhookAddresses`: what can be told when the webhook is made. What a name leads to
    later, the connection checks."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def check(self, url: str) -> None:
        try:
            parts, printable = urlsplit(url), url.isprintable() and " " not in url
            host, port = parts.hostname, parts.port
        except ValueError:
            raise WebhookUrlRefused from None
        schemes = ("https", "http") if self._allow_private else ("https",)
        if not printable or len(url) > LONGEST_URL or parts.scheme not in schemes or not host or "@" in parts.netloc:
            raise WebhookUrlRefused
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await addresses_of(host, port or 443)
        except (OSError, UnicodeError, TimeoutError):
            raise WebhookUrlRefused("The webhook's host has no address: correct its name.") from None
        if not self._allow_private and not all(map(is_public, found)):
            raise WebhookUrlRefused(
                "The webhook's host has a private address. Only the operator can allow that, with"
                " RAPTOR_WEBHOOK_ALLOW_PRIVATE."
            )


class SignedSender:
    """Implements `services.webhooks.WebhookSender`."""

    def __init__(self, *, allow_private: bool, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=0,
            network_backend=CheckedBackend(allow_private=allow_private),
        )

    async def send(self, url: str, secret: str, message_id: str, body: str) -> Outcome:
        headers = list(signed(secret, message_id, datetime.now(UTC), body).items())
        request = self._pool.stream("POST", url, headers=headers, content=body.encode())
        try:
            async with asyncio.timeout(self._timeout_s), request as response:
                return Outcome(status=response.status, error=told_of(response.status))
        except TimeoutError:
            return Outcome(error=f"no answer within {self._timeout_s:g} s")
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
            return Outcome(error=f"{type(error).__name__}: {error}"[:300])

    async def close(self) -> None:
        await self._pool.aclose()


def signed(secret: str, message_id: str, now: datetime, body: str) -> dict[str, str]:
    """Headers of a message, as Standard Webhooks say."""
    return {
        "content-type": "application/json",
        "user-agent": "raptor-service",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signature(secret).sign(message_id, now, body),
    }


def told_of(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return f"HTTP {status}: redirects are not followed" if 300 <= status < 400 else f"HTTP {status}"
