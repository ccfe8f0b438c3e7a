"""How jobs end other than by success, what ends with them, and how they are taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Text, delete, func, null, or_, select, update
from sqlalchemy.engine import RowMapping

from infra.db.schema import document_versions, job_secrets, jobs
from infra.uow.unit_of_work import any_of, as_json
from interfaces_adaptor.repositories.jobs import Jobs
from services.cost.budget import Budget, Keys
from services.cost.usage import Usage
from services.domain import JsonObject
from services.errors import JobCancelled, VersionConflict
from services.jobs.job import Job, JobStatus, Lease
from services.jobs.limits import JobLimits
from services.jobs.payer import payer_of


class JobEndings(Jobs):
    async def fail_job(self, lease: Lease, status: JobStatus, error: JsonObject, figures: JsonObject) -> None:
        row = await self._fenced(
            """
            update jobs set status = :status, error = cast(:error as jsonb), finished_at = now(),
                updated_at = now(), usage = cast(:usage as jsonb), timings = cast(:timings as jsonb)
            where tenant_id = :tenant and job_id = :job and attempts = :attempt and status = 'running'
            returning dataset_id, job_type, payer
            """,
            lease,
            status=status,
            error=as_json(dict(error)),
            usage=as_json(figures["usage"]),
            timings=as_json(figures["timings"]),
        )
        await self._end_with(lease.job_id, row, status, error)

    async def cancel_job(self, job_id: UUID) -> Job:
        job = await self.get_job(job_id)
        cancelled = JobCancelled().as_json()
        row = await self.first(
            update(jobs)
            .where(self.own(jobs), jobs.c.job_id == job_id, jobs.c.status.in_(("queued", "running")))
            .values(
                status="cancelled",
                error=cancelled,
                awaits_revision=null(),
                finished_at=func.now(),
                updated_at=func.now(),
            )
            .returning(jobs.c.dataset_id, jobs.c.job_type, jobs.c.payer, jobs.c.queue_job_id)
        )
        if row is not None:
            # Tells the worker at once; should it not hear, its next write finds that its lease is gone.
            await self._take_out([row["queue_job_id"]])
            await self._end_with(job_id, row, "cancelled", cancelled)
        return job

    async def end_superseded(self, job_ids: Sequence[UUID], by: UUID) -> None:
        rows = await self.all(
            update(jobs)
            .where(
                self.own(jobs),
                jobs.c.job_id == any_of(job_ids),
                jobs.c.status.in_(("queued", "running")),
                jobs.c.awaits_revision.is_(None),
            )
            .values(
                status="succeeded",
                stage="done",
                progress=1,
                attempts=jobs.c.attempts + 1,
                result={"superseded_by": by.hex},
                finished_at=func.now(),
                updated_at=func.now(),
            )
            .returning(jobs.c.job_id, jobs.c.queue_job_id)
        )
        await self._take_out([row["queue_job_id"] for row in rows])
        for row in rows:
            await self._forget_secrets(row["job_id"])

    async def cancel_uploads_of(self, dataset_id: str, doc_ids: Sequence[str]) -> None:
        rows = await self.all(
            select(jobs.c.job_id).where(
                self.own(jobs),
                jobs.c.dataset_id == dataset_id,
                jobs.c.doc_id == any_of(doc_ids, Text()),
                jobs.c.job_type == "ingest",
                jobs.c.status.in_(("queued", "running")),
            )
        )
        for row in rows:
            await self.cancel_job(row["job_id"])

    async def begin_builds_anew(self, dataset_id: str, payer: str) -> None:
        running = (jobs.c.dataset_id == dataset_id, jobs.c.job_type == "build", jobs.c.status == "running")
        holds = or_(jobs.c.payer == payer, jobs.c.params["whole"].as_boolean())
        # Neither the attempt that ends here nor the number that takes its lease away is one of the build's own: five
        # uploads cancelled one after the other would otherwise end it, and all who wait for it.
        for row in await self._count_interruptions(*running, holds, attempts=2):
            await self.execute(
                update(jobs).where(self.own(jobs), jobs.c.job_id == row["job_id"]).values(attempts=jobs.c.attempts + 1)
            )
            await self._enqueue(row["job_id"], 0.0)

    async def retry_job(self, job_id: UUID, budget: Budget, keys: Keys) -> UUID:
        job = await self.get_job(job_id)
        if job.status not in ("failed", "cancelled"):
            raise VersionConflict(f"The job is {job.status}: only a failed or cancelled one is tried again.")
        limits = JobLimits.of(job.params).continued(budget, Usage(**job.usage))
        payer = payer_of(keys, limits.budget)
        if job.job_type == "build":
            await self._await_again(job, payer)
            wishes = {name: job.params[name] for name in ("full", "whole") if job.params.get(name)}
            return await self.request_build(
                job.dataset_id, payer, at_once=True, wishes={**wishes, **limits.as_params()}
            )
        await self.execute(
            """
            update jobs set status = 'queued', stage = 'queued', progress = 0, attempts = 0, error = null,
                awaits_revision = null, finished_at = null, updated_at = now(), payer = :payer,
                params = jsonb_set(params - array['interruptions', 'ended_with'], '{budget}',
                    coalesce(params -> 'budget', '{}') || cast(:budget as jsonb))
            where tenant_id = :tenant and job_id = :job
            """,
            job=job_id,
            payer=payer,
            budget=as_json(budget.as_json()),
        )
        await self._revive_versions([job_id])
        await self._enqueue(job_id, 0.0)
        return job_id

    async def _await_again(self, build: Job, payer: str) -> None:
        """The uploads that ended with the build wait again, and for this payer."""
        rows = await self.all(
            """
            update jobs j set status = 'running', stage = 'waiting_for_tree', error = null, finished_at = null,
                awaits_revision = s.wanted_revision, payer = :payer, params = j.params - 'ended_with',
                updated_at = now()
            from datasets s
            where j.tenant_id = :tenant and j.dataset_id = :dataset and j.job_type = 'ingest'
                and j.status in ('failed', 'cancelled') and j.params ->> 'ended_with' = :build
                and s.tenant_id = j.tenant_id and s.dataset_id = j.dataset_id
            returning j.job_id
            """,
            dataset=build.dataset_id,
            payer=payer,
            build=build.job_id.hex,
        )
        await self._revive_versions([row["job_id"] for row in rows])

    async def _revive_versions(self, job_ids: Sequence[UUID]) -> None:
        of = document_versions.c
        await self.execute(
            update(document_versions)
            .where(self.own(document_versions), of.job_id == any_of(job_ids), of.state == "failed")
            .values(state="indexing")
        )

    async def _end_with(self, job_id: UUID, row: RowMapping, status: JobStatus, error: JsonObject) -> None:
        """What ends with the job: of a cancelled upload its versions, which never go live; of a build the uploads that
        waited for it, unless another build is on its way to them."""
        await self._forget_secrets(job_id)
        ended = [job_id]
        if row["job_type"] == "build":
            rows = await self.all(
                """
                update jobs j set status = :status, error = cast(:error as jsonb), finished_at = now(),
                    awaits_revision = null, params = params || jsonb_build_object('ended_with', cast(:build as text)),
                    updated_at = now()
                where j.tenant_id = :tenant and j.dataset_id = :dataset and j.status = 'running'
                    and j.payer = :payer and j.awaits_revision is not null
                    and not exists (
                        select from jobs b where b.tenant_id = j.tenant_id and b.dataset_id = j.dataset_id
                            and b.payer = j.payer and b.job_type = 'build' and b.status = 'queued'
                    )
                returning j.job_id
                """,
                dataset=row["dataset_id"],
                payer=row["payer"],
                build=job_id.hex,
                status=status,
                error=as_json(dict(error)),
            )
            ended = [one["job_id"] for one in rows]
            await self.execute(delete(job_secrets).where(self.own(job_secrets), job_secrets.c.job_id == any_of(ended)))
        if status == "cancelled":
            of = document_versions.c
            await self.execute(
                update(document_versions)
                .where(
                    self.own(document_versions),
                    of.job_id == any_of(ended),
                    of.state.in_(("indexing", "ready")),
                )
                .values(state="failed")
            )

    async def _take_out(self, queue_job_ids: Sequence[int]) -> None:
        await self.execute(
            "select procrastinate_cancel_job_v1(queued, true, true) from unnest(cast(:ids as bigint[])) as queued",
            ids=list(queue_job_ids),
        )
