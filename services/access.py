"""Who may come in: API keys, each bound to a tenant; only a hash of them is stored."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.domain import TenantId
from services.errors import InvalidRequest, NotFound, Unauthenticated

# What is recognised at sight, by people and by scanners for leaked secrets.
KEY = re.compile(r"rpt_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\Z")
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
# A key that is revoked, or the first one that is created, takes effect within this time on every process.
REMEMBER_S = 2.0
REMEMBERED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    tenant: TenantId
    key_id: str
    prefix: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyStore(Protocol):
    async def add(self, tenant: TenantId, key_id: str, prefix: str, secret_hash: bytes, name: str) -> None: ...

    async def all(self) -> Sequence[ApiKey]: ...

    async def revoke(self, key_id: str) -> bool: ...

    async def any_active(self) -> bool: ...

    async def tenant_of(self, secret_hash: bytes) -> TenantId | None: ...


class ApiKeys:
    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._exist: tuple[float, bool] = (0.0, False)
        self._known: dict[bytes, tuple[float, TenantId]] = {}

    async def create(self, tenant: str, name: str) -> str:
        """The new key: shown this once, and never stored. Raises InvalidRequest."""
        if not TENANT.match(tenant):
            raise InvalidRequest("A tenant's name is made of letters, digits and . _ - and has at most 64 of them.")
        key_id = secrets.token_hex(4)
        secret = f"rpt_{key_id}_{secrets.token_urlsafe(32)}"
        await self._store.add(TenantId(tenant), key_id, secret[:16], hash_of(secret), name)
        return secret

    async def all(self) -> Sequence[ApiKey]:
        return await self._store.all()

    async def revoke(self, key_id: str) -> None:
        """Raises NotFound."""
        if not await self._store.revoke(key_id):
            raise NotFound(f"There is no active key {key_id!r}; `raptor keys list` shows them.")

    async def keys_exist(self) -> bool:
        expires, exist = self._exist
        if time.monotonic() >= expires:
            exist = await self._store.any_active()
            self._exist = (time.monotonic() + REMEMBER_S, exist)
        return exist

    async def tenant_of(self, secret: str) -> TenantId:
        """Raises Unauthenticated."""
        if not KEY.match(secret):
            raise Unauthenticated
        digest = hash_of(secret)
        expires, tenant = self._known.get(digest, (0.0, TenantId("")))
        if time.monotonic() >= expires:
            found = await self._store.tenant_of(digest)
            if found is None:
                self._known.pop(digest, None)
                raise Unauthenticated("This API key is unknown or was revoked.")
            if len(self._known) >= REMEMBERED_KEYS:
                self._known.clear()
            tenant = found
            self._known[digest] = (time.monotonic() + REMEMBER_S, found)
        return tenant


def hash_of(secret: str) -> bytes:
    """A plain hash is enough: the secret has 256 random bits, there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()
