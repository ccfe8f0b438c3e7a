"""Where a provider is and with which key it is called: one that the caller brought, else the operator's."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from constants.models import ModelRegistry
from services.cost.budget import Keys
from services.errors import MissingProviderKey, UnknownModel

# Servers of one's own want no key, the SDK wants one: this is what it then gets.
NO_KEY = "none"


class BaseUrlNotAllowed(ValueError):
    """A provider's base URL is not one that calls may go to; the message says why."""


@dataclass(frozen=True, slots=True)
class Access:
    base_url: str
    key: str
    rerank_url: str = ""

    def __repr__(self) -> str:
        return f"Access({self.base_url})"


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """`operator_keys` and `base_urls` are by provider; only the operator sets them. `override` replaces the origin of
    every base URL, for a provider that is faked."""

    registry: ModelRegistry
    operator_keys: Mapping[str, str]
    base_urls: Mapping[str, str]
    override: str | None = None

    def __repr__(self) -> str:
        return f"ProviderAccess({', '.join(sorted(self.operator_keys))})"

    def providers(self) -> set[str]:
        return set(self.registry.providers) | set(self.base_urls)

    def has_key(self, provider: str, keys: Keys) -> bool:
        return provider in keys or provider in self.operator_keys

    def open(self, provider: str, keys: Keys) -> Access:
        """Raises UnknownModel, MissingProviderKey."""
        spec = self.registry.providers.get(provider)
        base_url = self.base_urls.get(provider) or (spec.base_url if spec is not None else "")
        if not base_url and not (spec is not None and self.override):
            raise UnknownModel(
                f"{provider!r} has no base URL here: have the operator set it in RAPTOR_PROVIDER_BASE_URLS, or name a"
                " model of another provider.",
                known=sorted(self.providers()),
            )
        key = keys.get(provider) or self.operator_keys.get(provider) or ("" if spec is not None else NO_KEY)
        if not key:
            byok = spec.byok if spec is not None else ""
            raise MissingProviderKey(
                f"{provider} needs a key: bring one as the field `{byok}` or the header"
                f" X-{byok.replace('_', '-').title()}, or have the operator set RAPTOR_{provider.upper()}_API_KEY.",
                provider=provider,
            )
        rerank_url = spec.rerank_url if spec is not None else ""
        return Access(self._placed(base_url or AZURE_PATH), key, self._placed(rerank_url or base_url))

    def _placed(self, base_url: str) -> str:
        if self.override is None:
            return base_url
        origin = urlsplit(self.override)
        return urlunsplit((origin.scheme, origin.netloc, urlsplit(base_url).path, "", ""))


# The path under which every Azure resource serves, for a faked one.
AZURE_PATH = "https://azure.invalid/openai/v1/"


def checked_base_url(url: str, *, allow_private: bool) -> str:
    """Raises BaseUrlNotAllowed for what is no URL, carries credentials, is not encrypted on its way through a network,
    or leads to a private address where that was not allowed."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        # Not repeated: what stands there is mostly a key.
        raise BaseUrlNotAllowed(
            f"the base URL on {parts.hostname!r} has a user, a query or a fragment: give https://host/path alone, and"
            " the key by itself"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BaseUrlNotAllowed(f"{url!r} is no base URL: https://host/path")
    private = leads_to_private(parts.hostname)
    if private and not allow_private:
        raise BaseUrlNotAllowed(
            f"{url!r} leads to a private address; set RAPTOR_ALLOW_PRIVATE_PROVIDERS=true if that is meant"
        )
    if parts.scheme == "http" and not private:
        raise BaseUrlNotAllowed(f"{url!r} would send keys through the network in the clear: use https")
    return url


def leads_to_private(host: str) -> bool:
    try:
        addresses = {ipaddress.ip_address(host)}
    except ValueError:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return False
        addresses = {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    return any(not address.is_global for address in addresses)
