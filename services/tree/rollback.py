"""Roll-back: the tree and the documents of an earlier generation are served again, as a new generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.domain import Dataset, JsonObject, TenantId
from services.errors import AlreadyRunning, GenerationErased, GenerationNotFound
from services.jobs.job import JobType
from services.storage import OpenStorage, UnitOfWork
from services.tree.generations import Generation


class RollbackStorage(UnitOfWork, Protocol):
    """What a roll-back asks of storage."""

    async def lock_dataset(self, dataset_id: str) -> None:
        """Until the end of the unit of work nobody else changes its documents or its tree. Raises DatasetNotFound."""
        ...

    async def get_dataset(self, dataset_id: str) -> Dataset: ...

    async def find_generation(self, dataset_id: str, generation: int) -> Generation | None: ...

    async def running_job(self, dataset_id: str, *kinds: JobType) -> UUID | None: ...

    async def restore_generation(self, dataset_id: str, generation: Generation) -> int:
        """Serves its tree and its documents again; the number of the generation that begins with it."""
        ...

    async def is_stale(self, tree_id: UUID) -> bool: ...

    async def want_tree(self, dataset_id: str) -> int: ...

    async def request_build(
        self, dataset_id: str, *, at_once: bool = False, limits: JsonObject | None = None
    ) -> UUID: ...


@dataclass(frozen=True, slots=True)
class RolledBack:
    """`generation` is the live one now, `tree_id` its tree. `unchanged`: what was asked for was live already. `job_id`
    is a build that mends the tree, where not all that it tells of may be told again."""

    generation: int
    tree_id: UUID
    unchanged: bool
    job_id: UUID | None = None


class Rollback:
    def __init__(self, open_storage: OpenStorage[RollbackStorage]) -> None:
        self._open = open_storage

    async def roll_back(self, tenant: TenantId, dataset_id: str, number: int) -> RolledBack:
        """One transaction; calls no model. Raises DatasetNotFound, GenerationNotFound, GenerationErased,
        AlreadyRunning while a tree of the dataset is built or mended."""
        async with self._open(tenant) as work:
            await work.lock_dataset(dataset_id)
            dataset = await work.get_dataset(dataset_id)
            found = await work.find_generation(dataset_id, number)
            if found is None:
                raise GenerationNotFound(dataset_id=dataset_id, generation=number)
            if found.tree_id == dataset.live_tree_id:
                return RolledBack(dataset.generation, found.tree_id, unchanged=True)
            if found.erased_at is not None:
                raise GenerationErased(dataset_id=dataset_id, generation=number)
            running = await work.running_job(dataset_id, "build", "mend")
            if running is not None:
                raise AlreadyRunning(job_id=running.hex)
            now = await work.restore_generation(dataset_id, found)
            job_id = None
            if await work.is_stale(found.tree_id):
                await work.want_tree(dataset_id)
                job_id = await work.request_build(dataset_id)
            await work.commit()
        return RolledBack(now, found.tree_id, unchanged=False, job_id=job_id)
