"""Jobs as clients list them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from infra.uow.unit_of_work import UnitOfWork
from interfaces_adaptor.repositories import jobs
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
        conditions: list[str] = []
        values: dict[str, Any] = {}
        if after is not None:
            conditions.append("and (created_at, job_id) < (:at, :job)")
            values |= {"at": after[0], "job": after[1]}
        if status is not None:
            conditions.append("and status = :status")
            values["status"] = status
        if dataset_id is not None:
            conditions.append("and dataset_id = :dataset")
            values["dataset"] = dataset_id
        rows = await self.all(
            f"select {jobs.COLUMNS} from jobs where tenant_id = :tenant {' '.join(conditions)}"
            " order by created_at desc, job_id desc limit :limit",
            limit=limit,
            **values,
        )
        return [jobs.job_from(row) for row in rows]

    async def count_jobs(self) -> dict[str, int]:
        rows = await self.all("select status, count(*) as n from jobs where tenant_id = :tenant group by status")
        found = {row["status"]: row["n"] for row in rows}
        return {name: found.get(name, 0) for name in ("queued", "running", "succeeded", "failed", "cancelled")}
