"""Jobs: what clients see of background work, and its place in the queue, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping

from constants.queue import QUEUE, RUN_JOB
from infra.db.schema import job_secrets, jobs
from infra.uow.unit_of_work import UnitOfWork, as_json
from services.domain import JsonObject
from services.errors import JobNotFound, LeaseLost
from services.jobs.job import Job, JobType, Lease, NewJob

SHOWN = [jobs.c[name] for name in Job.__dataclass_fields__]


# Longer than any job should take; what is left then was left by a crash.
KEYS_KEPT = timedelta(hours=24)


class Jobs(UnitOfWork):
    async def start_job(self, job: NewJob) -> UUID:
        job_id = uuid.uuid4()
        await self.execute(
            insert(jobs).values(
                tenant_id=self.tenant,
                job_id=job_id,
                dataset_id=job.dataset_id,
                job_type=job.job_type,
                doc_id=job.doc_id,
                version_id=job.version_id,
                payer=job.payer,
                status="queued",
                stage="queued",
                params=dict(job.params),
            )
        )
        await self._enqueue(job_id, 0.0)
        return job_id

    async def request_build(
        self, dataset_id: str, payer: str, *, at_once: bool = False, wishes: JsonObject | None = None
    ) -> UUID:
        job_id = uuid.uuid4()
        params = {"at_once": at_once, **(wishes or {})}
        added = await self.first(
            """
            insert into jobs (tenant_id, job_id, dataset_id, job_type, payer, status, stage, params)
            values (:tenant, :job, :dataset, 'build', :payer, 'queued', 'queued', cast(:params as jsonb))
            on conflict (tenant_id, dataset_id, payer) where job_type = 'build' and status = 'queued' do nothing
            returning job_id
            """,
            job=job_id,
            dataset=dataset_id,
            payer=payer,
            params=as_json(params),
        )
        if added is not None:
            await self._enqueue(job_id, 0.0)
            return job_id
        # Locked: a worker claims it before, and then holds what is there already, or after, and then all of this.
        waiting = await self.first(
            """
            update jobs set params = params || cast(:params as jsonb)
            where tenant_id = :tenant and dataset_id = :dataset and job_type = 'build' and payer = :payer
                and status = 'queued'
            returning job_id, queue_job_id
            """,
            dataset=dataset_id,
            payer=payer,
            params=as_json({name: value for name, value in params.items() if value}),
        )
        if waiting is None:
            # It was claimed between the two statements: what it does not hold yet, the next one will.
            return await self.request_build(dataset_id, payer, at_once=at_once, wishes=wishes)
        await self._hasten(waiting)
        return UUID(str(waiting["job_id"]))

    async def _hasten(self, waiting: RowMapping) -> None:
        """A job that was postponed looks again now whether it may begin."""
        taken_out = await self.first(
            "select procrastinate_cancel_job_v1(:queued, false, true) as id", queued=waiting["queue_job_id"]
        )
        if taken_out is not None and taken_out["id"] is not None:
            await self._enqueue(waiting["job_id"], 0.0)

    async def get_job(self, job_id: UUID) -> Job:
        row = await self.first(select(*SHOWN).where(self.own(jobs), jobs.c.job_id == job_id))
        if row is None:
            raise JobNotFound(job_id=job_id.hex)
        return Job(**row)

    async def claim_job(self, job_id: UUID) -> tuple[Job, Lease] | None:
        row = await self.first(
            update(jobs)
            .where(
                self.own(jobs),
                jobs.c.job_id == job_id,
                jobs.c.status.in_(("queued", "running")),
                jobs.c.awaits_revision.is_(None),
            )
            .values(
                status="running",
                attempts=jobs.c.attempts + 1,
                started_at=func.coalesce(jobs.c.started_at, func.now()),
                stage="starting",
                error=null(),
                updated_at=func.now(),
            )
            .returning(*SHOWN)
        )
        return (Job(**row), Lease(job_id, row["attempts"])) if row else None

    async def postpone_job(self, job_id: UUID, delay_s: float, *, interrupted: bool = False) -> None:
        if interrupted:
            await self._count_interruptions(jobs.c.job_id == job_id)
        await self._enqueue(job_id, delay_s)

    async def is_queued_as(self, job_id: UUID, queue_job_id: int | None) -> bool:
        of = jobs.c
        row = await self.first(
            select(of.job_id).where(
                self.own(jobs),
                of.job_id == job_id,
                of.queue_job_id == queue_job_id,
                of.status.in_(("queued", "running")),
            )
        )
        return row is not None

    async def _count_interruptions(self, *which: ColumnElement[bool], attempts: int = 1) -> Sequence[RowMapping]:
        so_far = func.coalesce(jobs.c.params["interruptions"].as_integer(), 0)
        interruptions = func.jsonb_build_object("interruptions", so_far + attempts)
        return await self.all(
            update(jobs)
            .where(self.own(jobs), *which)
            .values(params=jobs.c.params.concat(interruptions))
            .returning(jobs.c.job_id)
        )

    async def count_indexing(self, dataset_id: str, payer: str) -> int:
        row = await self.first(
            """
            select count(*) as n from jobs j
            where j.tenant_id = :tenant and j.dataset_id = :dataset and j.payer = :payer and j.job_type = 'ingest'
                and j.status in ('queued', 'running') and j.awaits_revision is null
                and exists (
                    select from document_versions v
                    where v.tenant_id = j.tenant_id and v.job_id = j.job_id and v.build_tree
                )
            """,
            dataset=dataset_id,
            payer=payer,
        )
        return int(row["n"]) if row else 0

    async def report_job(self, lease: Lease, stage: str, progress: float, figures: JsonObject) -> None:
        # A build speaks for the uploads that wait for it. One whose row is taken is being cancelled, by somebody who
        # takes the build's row next.
        await self.execute(
            """
            with mine as (
                update jobs set stage = :stage, progress = :progress, updated_at = now(),
                    usage = cast(:usage as jsonb), timings = cast(:timings as jsonb),
                    detail = cast(:detail as jsonb)
                where tenant_id = :tenant and job_id = :job and attempts = :attempt and status = 'running'
                returning dataset_id, job_type, payer
            ), waiting as (
                select j.job_id from jobs j join mine on mine.job_type = 'build'
                    and j.dataset_id = mine.dataset_id and j.payer = mine.payer
                where j.tenant_id = :tenant and j.status = 'running' and j.awaits_revision is not null
                for update of j skip locked
            )
            update jobs j set stage = :stage, progress = :progress, detail = cast(:detail as jsonb),
                updated_at = now()
            from waiting where j.tenant_id = :tenant and j.job_id = waiting.job_id
            """,
            **fence(lease),
            stage=stage,
            progress=progress,
            usage=as_json(figures["usage"]),
            timings=as_json(figures["timings"]),
            detail=as_json(figures["detail"]),
        )

    async def await_tree(self, lease: Lease, revision: int, result: JsonObject, figures: JsonObject) -> None:
        await self._fenced(
            """
            update jobs set stage = 'waiting_for_tree', awaits_revision = :revision, progress = 0,
                result = cast(:result as jsonb), usage = cast(:usage as jsonb), timings = cast(:timings as jsonb),
                updated_at = now()
            where tenant_id = :tenant and job_id = :job and attempts = :attempt and status = 'running'
            returning job_id
            """,
            lease,
            revision=revision,
            result=as_json(dict(result)),
            usage=as_json(figures["usage"]),
            timings=as_json(figures["timings"]),
        )

    async def succeed_job(self, lease: Lease, result: JsonObject, figures: JsonObject) -> None:
        await self._fenced(
            """
            update jobs set status = 'succeeded', stage = 'done', progress = 1, finished_at = now(),
                updated_at = now(), result = cast(:result as jsonb), usage = cast(:usage as jsonb),
                timings = cast(:timings as jsonb)
            where tenant_id = :tenant and job_id = :job and attempts = :attempt and status = 'running'
            returning job_id
            """,
            lease,
            result=as_json(dict(result)),
            usage=as_json(figures["usage"]),
            timings=as_json(figures["timings"]),
        )
        await self._forget_secrets(lease.job_id)

    async def finish_waiting(self, dataset_id: str, revision: int, payer: str | None, result: JsonObject) -> None:
        await self.execute(
            """
            with done as (
                update jobs set status = 'succeeded', stage = 'done', progress = 1, finished_at = now(),
                    updated_at = now(), result = result || cast(:result as jsonb)
                where tenant_id = :tenant and dataset_id = :dataset and status = 'running'
                    and awaits_revision <= :revision and (cast(:payer as text) is null or payer = :payer)
                returning job_id
            )
            delete from job_secrets s using done where s.tenant_id = :tenant and s.job_id = done.job_id
            """,
            dataset=dataset_id,
            revision=revision,
            payer=payer,
            result=as_json(dict(result)),
        )

    async def secrets_of(self, job_id: UUID) -> Mapping[str, bytes]:
        of = job_secrets.c
        rows = await self.all(
            select(of.provider, of.ciphertext).where(
                self.own(job_secrets), of.job_id == job_id, of.expires_at > func.now()
            )
        )
        return {row["provider"]: row["ciphertext"] for row in rows}

    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None:
        expires_at = func.now() + KEYS_KEPT
        for provider, ciphertext in sealed.items():
            brought = insert(job_secrets).values(
                tenant_id=self.tenant, job_id=job_id, provider=provider, ciphertext=ciphertext, expires_at=expires_at
            )
            await self.execute(
                brought.on_conflict_do_update(
                    index_elements=["tenant_id", "job_id", "provider"],
                    set_={"ciphertext": brought.excluded.ciphertext, "expires_at": brought.excluded.expires_at},
                )
            )

    async def _forget_secrets(self, job_id: UUID) -> None:
        await self.execute(delete(job_secrets).where(self.own(job_secrets), job_secrets.c.job_id == job_id))

    async def running_job(self, dataset_id: str, *kinds: JobType) -> UUID | None:
        of = jobs.c
        row = await self.first(
            select(of.job_id)
            .where(self.own(jobs), of.dataset_id == dataset_id, of.job_type.in_(kinds), of.status == "running")
            .limit(1)
        )
        return row["job_id"] if row else None

    async def _fenced(self, sql: str, lease: Lease, **values: object) -> RowMapping:
        row = await self.first(sql, **fence(lease), **values)
        if row is None:
            raise LeaseLost(job_id=lease.job_id.hex)
        return row

    async def _enqueue(self, job_id: UUID, delay_s: float) -> None:
        # The lock makes the queue run one build or mending a dataset and one version a document at a time. Its order is
        # that of ids: a row that waits for a later time would hold up those behind it, so that it has no lock and, when
        # its time has come, is put in line.
        await self.execute(
            """
            with job as (
                select job_id, case
                    when :delay > 0 then null
                    when job_type <> 'ingest' then 'build/' || tenant_id || '/' || dataset_id
                    when doc_id is null then 'upload/' || tenant_id || '/' || job_id
                    else 'document/' || tenant_id || '/' || dataset_id || '/' || doc_id end as lock
                from jobs where tenant_id = :tenant and job_id = :job
            ), queued as (
                select (procrastinate_defer_jobs_v1(array[row(
                    cast(:queue as text), cast(:task as text), 0, lock, null,
                    jsonb_build_object('tenant_id', cast(:tenant as text), 'job_id', cast(:job as text)),
                    case when :delay > 0 then clock_timestamp() + make_interval(secs => :delay) end
                )::procrastinate_job_to_defer_v1]))[1] as id
                from job
            )
            update jobs set queue_job_id = queued.id from queued where tenant_id = :tenant and job_id = :job
            """,
            job=job_id,
            queue=QUEUE,
            task=RUN_JOB,
            delay=float(delay_s),
        )


def fence(lease: Lease) -> dict[str, object]:
    return {"job": lease.job_id, "attempt": lease.attempt}
