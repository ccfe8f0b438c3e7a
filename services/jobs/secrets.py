"""Keys that callers bring, sealed for as long as a job needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from services.cost.budget import Keys


class SecretBox(Protocol):
    """Encrypts keys for as long as they have to be stored."""

    def seal(self, secret: str, job_id: str) -> bytes: ...

    def open(self, sealed: bytes, job_id: str) -> str:
        """Raises MissingProviderKey for what this service's own key does not open."""
        ...


class KeyStorage(Protocol):
    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None: ...


async def bring_keys(work: KeyStorage, secrets: SecretBox, job_id: UUID, keys: Keys) -> None:
    """Leaves the caller's keys with the job, in the transaction that starts it."""
    await work.put_secrets(job_id, {provider: secrets.seal(key, job_id.hex) for provider, key in keys.items()})
