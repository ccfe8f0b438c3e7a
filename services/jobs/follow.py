"""Waiting for jobs without asking for them: the database tells whose jobs have changed, and one statement reads what is
followed of them.

A notice is a hint. It can be lost (a connection that broke, a pooler that drops it), so all that is followed is read
once more from time to time: seldom while notices are known to arrive, once a second while they are not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Protocol
from uuid import UUID

from services.domain import TenantId
from services.errors import DatabaseUnavailable, JobNotFound, RaptorError
from services.jobs.job import TERMINAL, Job
from services.storage import OpenStorage

logger = logging.getLogger(__name__)

# Between two readings: a build that reports, with many uploads that wait, does not keep the database busy.
PAUSE_S = 0.05
SAFETY_S = 60.0
UNHEARD_S = 1.0

JobKey = tuple[TenantId, UUID]


class FollowStorage(Protocol):
    async def changed_jobs(self, known: Mapping[UUID, datetime | None]) -> Mapping[UUID, Job | None]:
        """Of these jobs those that differ from what was read at the given `updated_at`; None for one that is not there
        any more, or never was."""
        ...


class JobNotices(Protocol):
    """Topics of the datasets whose jobs have changed, as they come."""

    @property
    def arrive(self) -> bool:
        """Whether notices are known to arrive. While they are not, some may be missed."""
        ...

    async def listen(self, tell: Callable[[str | None], None]) -> None:
        """Until it is cancelled; None is told where notices may have been missed."""
        ...


def topic_of(tenant: TenantId, dataset_id: str) -> str:
    """What the trigger `tell_job_changes` says of a dataset's jobs."""
    return sha256(f"{tenant}/{dataset_id}".encode()).hexdigest()[:32]


@dataclass(slots=True, eq=False)
class Followed:
    """A job as it was last read, for all who follow it."""

    followers: int = 0
    job: Job | None = None
    failure: RaptorError | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, job: Job | None, failure: RaptorError | None = None) -> None:
        self.job, self.failure = job, failure
        self.changed.set()
        self.changed = asyncio.Event()


class JobFollower:
    """All who wait for jobs in this process. It reads and listens from the first one on, until it is closed."""

    def __init__(self, open_storage: OpenStorage[FollowStorage], notices: JobNotices) -> None:
        self._open = open_storage
        self._notices = notices
        self._followed: dict[JobKey, Followed] = {}
        self._of_topic: defaultdict[str, set[JobKey]] = defaultdict(set)
        self._to_read: set[JobKey] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def follow(self, tenant: TenantId, job_id: UUID) -> AsyncGenerator[Job, None]:
        """The job as it is, then as it is after changes, until it has ended; of changes that come fast only the last.
        Raises JobNotFound, also when the job is deleted meanwhile, and DatabaseUnavailable."""
        self._start()
        key = (tenant, job_id)
        followed = self._followed.setdefault(key, Followed())
        followed.followers += 1
        if followed.job is None:
            self._read_soon([key])
        shown: Job | None = None
        try:
            while shown is None or shown.status not in TERMINAL:
                changed = followed.changed
                if followed.failure is not None:
                    raise type(followed.failure)(**followed.failure.details)
                if followed.job is not None and followed.job is not shown:
                    shown = followed.job
                    yield shown
                else:
                    await changed.wait()
        finally:
            followed.followers -= 1
            if not followed.followers:
                self._forget(key, followed)

    @property
    def is_told(self) -> bool:
        """Whether the database's notices arrive; if not, what is followed is read once a second."""
        return self._notices.arrive

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for key in list(self._followed):
            self._fail(key, DatabaseUnavailable())

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._notices.listen(self._tell)),
                asyncio.create_task(self._keep_reading()),
            ]

    def _tell(self, topic: str | None) -> None:
        self._read_soon(self._followed if topic is None else self._of_topic.get(topic, ()))

    def _read_soon(self, keys: Iterable[JobKey]) -> None:
        self._to_read.update(keys)
        if self._to_read:
            self._wake.set()

    async def _keep_reading(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SAFETY_S if self.is_told else UNHEARD_S):
                    await self._wake.wait()
            except TimeoutError:
                self._to_read.update(self._followed)
            self._wake.clear()
            keys, self._to_read = self._to_read & self._followed.keys(), set()
            of_tenant: defaultdict[TenantId, list[UUID]] = defaultdict(list)
            for tenant, job_id in keys:
                of_tenant[tenant].append(job_id)
            for tenant, job_ids in of_tenant.items():
                await self._read(tenant, job_ids)
            await asyncio.sleep(PAUSE_S)

    async def _read(self, tenant: TenantId, job_ids: list[UUID]) -> None:
        known = {job_id: job.updated_at if job else None for job_id, job in self._last_read(tenant, job_ids)}
        try:
            async with self._open(tenant) as work:
                found = await work.changed_jobs(known)
        except Exception as error:
            # Whoever waits must hear of it, and the others go on waiting.
            if not isinstance(error, RaptorError):
                logger.exception("jobs that are followed could not be read")
            for job_id in known:
                self._fail((tenant, job_id), error if isinstance(error, RaptorError) else RaptorError())
            return
        for job_id, job in found.items():
            key = (tenant, job_id)
            if job is None:
                self._fail(key, JobNotFound(job_id=job_id.hex))
            elif key in self._followed:
                self._of_topic[topic_of(tenant, job.dataset_id)].add(key)
                self._followed[key].show(job)

    def _last_read(self, tenant: TenantId, job_ids: list[UUID]) -> Iterable[tuple[UUID, Job | None]]:
        for job_id in job_ids:
            if (followed := self._followed.get((tenant, job_id))) is not None:
                yield job_id, followed.job

    def _fail(self, key: JobKey, error: RaptorError) -> None:
        """Ends what follows this job now; who comes later begins anew."""
        if (followed := self._followed.get(key)) is not None:
            self._forget(key, followed)
            followed.show(followed.job, error)

    def _forget(self, key: JobKey, followed: Followed) -> None:
        if self._followed.get(key) is not followed:
            return
        del self._followed[key]
        if followed.job is not None:
            topic = topic_of(key[0], followed.job.dataset_id)
            self._of_topic[topic].discard(key)
            if not self._of_topic[topic]:
                del self._of_topic[topic]
