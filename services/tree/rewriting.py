"""Summaries that told of what is deleted, or not yet of what is back, are written anew by a build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from services.cost.budget import Budget, CallContext, Keys
from services.domain import Dataset, JsonObject
from services.errors import MissingProviderKey
from services.jobs.job import JobType
from services.jobs.payer import payer_of
from services.jobs.secrets import SecretBox, bring_keys
from services.models.registry import Models
from services.storage import UnitOfWork
from services.tree.nodes import Tree
from services.tree.writer import writer_of


class RewritingStorage(UnitOfWork, Protocol):
    """What a change without an upload asks of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def want_tree(self, dataset_id: str) -> int:
        """Notes that the tree is behind its documents; the revision that a tree has to reach to hold them."""
        ...

    async def request_build(
        self, dataset_id: str, payer: str, *, at_once: bool = False, wishes: JsonObject | None = None
    ) -> UUID:
        """The payer's build that will hold what there is now: the one that waits already, or a new one. `wishes` are
        parameters of the build; they take the place of those of the one that waits."""
        ...

    async def need_key(self, dataset_id: str) -> None:
        """The tree is behind and waits for a caller who brings its model's key."""
        ...

    async def running_job(self, dataset_id: str, *kinds: JobType) -> UUID | None: ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None: ...


class Rewriting:
    def __init__(self, models: Models, secrets: SecretBox, summary_llm: str) -> None:
        """`summary_llm` writes for datasets that name no model of their own."""
        self._summary_llm = summary_llm
        self._models = models
        self._secrets = secrets

    async def request(
        self, work: RewritingStorage, dataset_id: str, keys: Keys, *, anyhow: bool = False
    ) -> UUID | None:
        """The build for a change without an upload, where there is a tree or one is on its way: that one has read the
        documents of before."""
        dataset, live = await work.get_dataset(dataset_id), await work.live_tree(dataset_id)
        if not anyhow and live is None and await work.running_job(dataset_id, "build") is None:
            return None
        await work.want_tree(dataset_id)
        context = CallContext(work.tenant, dataset_id, keys=keys)
        wanted = str(dataset.settings.get("summary_llm", self._summary_llm))
        try:
            self._models.check(writer_of(self._models, wanted, live, context), context)
            self._models.embedder(dataset.space, context)
        except MissingProviderKey:
            await work.need_key(dataset_id)
            return None
        job_id = await work.request_build(dataset_id, payer_of(keys, Budget()))
        await bring_keys(work, self._secrets, job_id, keys)
        return job_id
