"""Jobs as clients list them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_

from infra.db.schema import jobs
from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories.jobs import SHOWN
from services.jobs.job import Job


class JobEntries(UnitOfWork):
    async def list_jobs(
        self,
        after: tuple[datetime, UUID] | None,
        limit: int,
        *,
        status: str | None,
        dataset_id: str | None,
    ) -> list[Job]:
        statement = select(*SHOWN).where(self.own(jobs))
        if after is not None:
            statement = statement.where(tuple_(jobs.c.created_at, jobs.c.job_id) < after)
        if status is not None:
            statement = statement.where(jobs.c.status == status)
        if dataset_id is not None:
            statement = statement.where(jobs.c.dataset_id == dataset_id)
        newest_first = (jobs.c.created_at.desc(), jobs.c.job_id.desc())
        return [Job(**row) for row in await self.all(statement.order_by(*newest_first).limit(limit))]

    async def count_jobs(self) -> dict[str, int]:
        counted = select(jobs.c.status, func.count().label("n")).where(self.own(jobs)).group_by(jobs.c.status)
        found = {row["status"]: row["n"] for row in await self.all(counted)}
        return {name: found.get(name, 0) for name in ("queued", "running", "succeeded", "failed", "cancelled")}
