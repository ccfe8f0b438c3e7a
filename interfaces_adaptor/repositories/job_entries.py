"""Jobs as clients list and follow them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, column, func, literal, or_, select, tuple_
from sqlalchemy.engine import RowMapping

from infra.db.schema import jobs
from infra.db.schema.columns import TIME
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

    async def changed_jobs(self, known: Mapping[UUID, datetime | None]) -> dict[UUID, Job | None]:
        read = func.unnest(literal(list(known), ARRAY(Uuid())), literal(list(known.values()), ARRAY(TIME)))
        columns = column("followed_id", Uuid()), column("seen_at", TIME)
        asked = read.table_valued(*columns, name="asked").render_derived()
        there = and_(self.own(jobs), jobs.c.job_id == asked.c.followed_id)
        changed = or_(jobs.c.job_id.is_(None), jobs.c.updated_at.is_distinct_from(asked.c.seen_at))
        rows = await self.all(
            select(asked.c.followed_id, *SHOWN).select_from(asked.outerjoin(jobs, there)).where(changed)
        )
        return {row["followed_id"]: job_of(row) if row["job_id"] else None for row in rows}

    async def count_jobs(self) -> dict[str, int]:
        counted = select(jobs.c.status, func.count().label("n")).where(self.own(jobs)).group_by(jobs.c.status)
        found = {row["status"]: row["n"] for row in await self.all(counted)}
        return {name: found.get(name, 0) for name in ("queued", "running", "succeeded", "failed", "cancelled")}


def job_of(row: RowMapping) -> Job:
    return Job(**{name: row[name] for name in Job.__dataclass_fields__})
