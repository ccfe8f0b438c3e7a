"""Generations: what a dataset served, from one switch to the next.

Each switch of the live tree begins one. The last ones stay beside it for a number and a time, to roll back to; then
their trees go, and the document versions that nothing stands on any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from services.domain import JsonObject, TenantId
from services.storage import OpenStorage, UnitOfWork

Reason = Literal["first_build", "maintained", "clustered", "mended", "rolled_back"]

# Versions that are removed in one transaction: their dataset's row is locked meanwhile, and uploads wait for it.
VERSIONS_AT_A_TIME = 50


@dataclass(frozen=True, slots=True)
class Publication:
    """A tree that is to be live. `after` is the dataset's generation that it was made from: where another has come
    meanwhile, the tree is none of this dataset any more. `stats` are added to what is stored with the tree."""

    dataset_id: str
    tree_id: UUID
    revision: int
    after: int
    reason: Reason
    stats: JsonObject


@dataclass(frozen=True, slots=True)
class Generation:
    """`restored` is the generation that a roll-back brought back. What changed is counted in documents against the
    generation before; None where that is not known. `stats` are those of the tree."""

    generation: int
    tree_id: UUID
    reason: Reason
    restored: int | None
    documents: int
    added: int | None
    changed: int | None
    removed: int | None
    published_at: datetime
    superseded_at: datetime | None
    erased_at: datetime | None
    stats: JsonObject

    @property
    def state(self) -> Literal["live", "kept", "erased"]:
        if self.superseded_at is None:
            return "live"
        return "kept" if self.erased_at is None else "erased"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many generations are kept beside the live one, and for how long after they were live."""

    kept: int = 3
    seconds: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class RolledBack:
    """`generation` is the live one now, `tree_id` its tree. `unchanged`: what was asked for was live already. `job_id`
    is the build that follows, where the tree does not hold all that is served, or tells of more."""

    generation: int
    tree_id: UUID
    unchanged: bool
    job_id: UUID | None = None


class RetentionStorage(UnitOfWork, Protocol):
    """What removing old generations asks of storage."""

    async def expire_generations(self, dataset_id: str, retention: Retention) -> None:
        """From now on there is no way back to those whose time is over."""
        ...

    async def remove_superseded_tree(self, dataset_id: str) -> bool:
        """Removes one tree that no generation stands on, or what is left of one that was erased; whether there was
        one."""
        ...

    async def remove_superseded_versions(self, dataset_id: str, retention: Retention, limit: int) -> int:
        """Removes versions that are no leaves of any tree, and were replaced before the oldest generation that is kept
        or before the retention; how many."""
        ...


class OldGenerations:
    """Removes them in steps, each a transaction: a kill in between leaves less to do."""

    def __init__(self, open_storage: OpenStorage[RetentionStorage], retention: Retention) -> None:
        self._open = open_storage
        self._retention = retention

    async def remove(self, tenant: TenantId, dataset_id: str) -> None:
        async with self._open(tenant) as work:
            await work.expire_generations(dataset_id, self._retention)
            await work.commit()
        while await self._remove_tree(tenant, dataset_id):
            pass
        while await self._remove_versions(tenant, dataset_id) == VERSIONS_AT_A_TIME:
            pass

    async def _remove_tree(self, tenant: TenantId, dataset_id: str) -> bool:
        async with self._open(tenant) as work:
            removed = await work.remove_superseded_tree(dataset_id)
            await work.commit()
        return removed

    async def _remove_versions(self, tenant: TenantId, dataset_id: str) -> int:
        async with self._open(tenant) as work:
            removed = await work.remove_superseded_versions(dataset_id, self._retention, VERSIONS_AT_A_TIME)
            await work.commit()
        return removed
