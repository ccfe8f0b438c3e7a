"""Datasets made and described by their owner: the embedder is chosen once, what shapes trees at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args

from services.cost.budget import CallContext, Keys
from services.documents import merge_patch
from services.domain import Dataset, EmbeddingSpace, JsonObject, Refine, TenantId, VectorIndex
from services.errors import DatasetNotFound, EmbeddingSpaceConflict, InvalidRequest
from services.models.registry import AUTO, Models
from services.storage import OpenStorage, UnitOfWork
from services.tree.params import SHOWN, TreeParams

DatasetField = Literal["name", "description", "vector_index", "settings"]


class DatasetStorage(UnitOfWork, Protocol):
    """What making and describing datasets ask of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def open_dataset(self, dataset_id: str, space: EmbeddingSpace, vector_index: VectorIndex) -> Dataset:
        """The dataset, made if it is not there, locked until the end of the unit of work."""
        ...

    async def lock_dataset(self, dataset_id: str) -> None:
        """Raises DatasetNotFound."""
        ...

    async def describe_anew(self, dataset_id: str, fields: Mapping[DatasetField, Any]) -> None:
        """Each field as a whole; those that are not named stay."""
        ...


class DatasetEditor:
    def __init__(
        self,
        open_storage: OpenStorage[DatasetStorage],
        models: Models,
        tree_params: TreeParams,
        default_vector_index: VectorIndex,
    ) -> None:
        self._open = open_storage
        self._models = models
        self._tree_params = tree_params
        self._default_vector_index = default_vector_index

    async def put(
        self,
        tenant: TenantId,
        dataset_id: str,
        fields: Mapping[DatasetField, Any],
        embed_model: str | None,
        keys: Keys,
    ) -> bool:
        """The dataset as `fields` say, made if it is not there: whether it was made. Raises InvalidRequest,
        UnknownModel, EmbeddingSpaceConflict where it has another embedder, MissingProviderKey where a key is needed to
        learn the model's dimensions."""
        settings = self._checked({}, fields.get("settings") or {})
        space = await self._models.space(embed_model, CallContext(tenant, dataset_id, keys=keys))
        async with self._open(tenant) as work:
            made = await is_missing(work, dataset_id)
            dataset = await work.open_dataset(
                dataset_id, space, fields.get("vector_index") or self._default_vector_index
            )
            if embed_model is not None:
                refuse_other_space(dataset, space)
            await work.describe_anew(dataset_id, {**fields, "settings": settings})
            await work.commit()
        return made

    async def change(self, tenant: TenantId, dataset_id: str, fields: Mapping[DatasetField, Any]) -> None:
        """What is not in `fields` stays; a setting that is None is the service's again. Raises DatasetNotFound,
        InvalidRequest, UnknownModel."""
        async with self._open(tenant) as work:
            await work.lock_dataset(dataset_id)
            dataset = await work.get_dataset(dataset_id)
            changed = dict(fields)
            if "settings" in fields:
                patch = fields["settings"]
                changed["settings"] = self._checked(dataset.settings, patch) if patch is not None else {}
            if changed:
                await work.describe_anew(dataset_id, changed)
            await work.commit()

    def _checked(self, stored: JsonObject, patch: JsonObject) -> JsonObject:
        """The settings with the patch. Raises InvalidRequest, UnknownModel."""
        tree = self._tree_params.as_json()
        known = {*tree, "refine"}
        for name in sorted(set(patch) - known):
            raise InvalidRequest(f"There is no setting {name[:SHOWN]!r}.", known=sorted(known))
        new = {name: value for name, value in patch.items() if value is not None}
        if "refine" in new and new["refine"] not in get_args(Refine):
            raise InvalidRequest(f"refine has to be one of {', '.join(get_args(Refine))}.", field="settings.refine")
        kept = {name: value for name, value in stored.items() if name not in patch}
        self._tree_params.changed({name: value for name, value in new.items() if name in tree}, kept)
        if new.get("summary_llm", AUTO) != AUTO:
            self._models.resolve_chat(new["summary_llm"])
        return merge_patch(stored, patch)


async def is_missing(work: DatasetStorage, dataset_id: str) -> bool:
    try:
        await work.get_dataset(dataset_id)
    except DatasetNotFound:
        return True
    return False


def refuse_other_space(dataset: Dataset, asked: EmbeddingSpace) -> None:
    """Raises EmbeddingSpaceConflict."""
    if asked != dataset.space:
        raise EmbeddingSpaceConflict(asked=asked.name, space=dataset.space.name)


def better_embedder_note(models: Models, dataset: Dataset, context: CallContext) -> str:
    """Empty where the keys at hand allow no better embedder than the dataset has."""
    better = models.better_embedder(dataset.space, context)
    if better is None:
        return ""
    own = dataset.space.name
    return (
        f"The dataset's vectors are by {own}; the keys at hand would allow {better}. A dataset keeps its embedder; a"
        f" new one takes {better} with `embed_model`. Uploads with `embed_model` {own} leave this note out."
    )
