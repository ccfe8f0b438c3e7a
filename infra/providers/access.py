"""Where a provider is called, and with which key: the caller's own, else the operator's."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from constants.models import ModelRegistry
from services.cost.budget import Keys
from services.errors import MissingProviderKey, UnknownModel

# The SDK insists on a key; servers of the operator's own may need none.
NO_KEY = "none"


class BaseUrlRefused(ValueError):
    """Models must not be called at this base URL; the message says why."""


@dataclass(frozen=True, slots=True)
class ProviderEndpoint:
    base_url: str
    key: str
    rerank_url: str = ""

    def __repr__(self) -> str:
        return f"ProviderEndpoint({self.base_url})"


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """`operator_keys` and `base_urls` are by provider; only the operator sets them. `override` replaces the origin of
    every base URL, for the fake provider."""

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

    def open(self, provider: str, keys: Keys) -> ProviderEndpoint:
        """Raises UnknownModel, MissingProviderKey."""
        spec = self.registry.providers.get(provider)
        base_url = self.base_urls.get(provider) or (spec.base_url if spec is not None else "")
        if not base_url and not (spec is not None and self.override):
            raise UnknownModel(
                f"No base URL is configured for {provider!r}: ask the operator to set it in RAPTOR_PROVIDER_BASE_URLS,"
                " or name a model of another provider.",
                known=sorted(self.providers()),
            )
        key = keys.get(provider) or self.operator_keys.get(provider) or ("" if spec is not None else NO_KEY)
        if not key:
            byok = spec.byok if spec is not None else ""
            raise MissingProviderKey(
                f"{provider} needs a key: send one in the field `{byok}` or the header"
                f" X-{byok.replace('_', '-').title()}, or ask the operator to set RAPTOR_{provider.upper()}_API_KEY.",
                provider=provider,
            )
        rerank_url = spec.rerank_url if spec is not None else ""
        return ProviderEndpoint(self._placed(base_url or AZURE_PATH), key, self._placed(rerank_url or base_url))

    def _placed(self, base_url: str) -> str:
        if self.override is None:
            return base_url
        origin = urlsplit(self.override)
        return urlunsplit((origin.scheme, origin.netloc, urlsplit(base_url).path, "", ""))


# The path under which every Azure resource serves, for a faked one.
AZURE_PATH = "https://azure.invalid/openai/v1/"


def checked_base_url(url: str, *, allow_private: bool) -> str:
    """Raises BaseUrlRefused for what is no URL, contains credentials, would send keys unencrypted through a network,
    or leads to a private address without permission."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        # Not repeated in the message: it usually contains a key.
        raise BaseUrlRefused(
            f"the base URL on {parts.hostname!r} has a user, a query or a fragment: give only https://host/path, and"
            " set the key separately"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BaseUrlRefused(f"{url!r} is not a base URL: use the form https://host/path")
    private = leads_to_private(parts.hostname)
    if private and not allow_private:
        raise BaseUrlRefused(
            f"{url!r} leads to a private address; set RAPTOR_ALLOW_PRIVATE_PROVIDERS=true to allow that"
        )
    if parts.scheme == "http" and not private:
        raise BaseUrlRefused(f"{url!r} would send keys unencrypted through the network: use https")
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
