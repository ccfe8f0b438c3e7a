"""Units of work: short transactions on what is stored, for one tenant.

Read, close, call a model, open, write, commit. What is not committed is rolled back. Each flow names the few methods
that it calls in a Protocol beside itself; one class answers to all of them.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from services.domain import TenantId
from services.jobs.job import Lease

Storage_co = TypeVar("Storage_co", covariant=True)


class UnitOfWork(Protocol):
    tenant: TenantId

    async def commit(self) -> None:
        """Raises LeaseLost if the unit was opened for a lease that is not current any more."""
        ...


class OpenStorage(Protocol[Storage_co]):
    def __call__(
        self, tenant: TenantId, lease: Lease | None = None, *, snapshot: bool = False
    ) -> AbstractAsyncContextManager[Storage_co]:
        """With `snapshot` all statements see the database as it is at the first, and none may write."""
        ...
