"""What an ingest or a rebuild will cost: the real chunks of the given texts, what is known of them already, and the
tree that will probably stand on them. Nothing is called, nothing is stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from services.chunking import CHUNKERS
from services.cost.budget import CallContext, Keys
from services.cost.cost_lines import CostLine, refinement_lines, tree_lines
from services.cost.expected_dataset import (
    ChunkedUpload,
    ChunkText,
    EstimateStorage,
    ExpectedDataset,
    embedding_lines,
    expected_dataset,
    refinement_questions,
)
from services.cost.expected_tree import LevelEstimate, expected_levels, on_the_path
from services.domain import ChunkSpan, Dataset, EmbeddingSpace, JsonObject, TenantId
from services.errors import DatasetNotFound
from services.ingest.reader import Reader, reader_for
from services.ingest.upload import Upload, as_described, with_settings
from services.models.registry import AUTO, Models
from services.storage import OpenStorage
from services.text.passage_text import for_models, indexed_passage, names_beside, names_of
from services.tree.build import fingerprint_of, made_alike, stored_params
from services.tree.maintain import maintainable
from services.tree.nodes import Tree
from services.tree.params import TreeParams
from services.tree.writer import writer_of


@dataclass(frozen=True, slots=True)
class EstimateRequest:
    """`uploads` as they would be ingested; none: a rebuild of what the dataset holds. `changes` are tree parameters as
    a rebuild takes them; `embedding_model` is another than the dataset's, or that of a dataset to be made."""

    dataset_id: str
    uploads: Sequence[Upload] = ()
    changes: JsonObject = field(default_factory=dict)
    embedding_model: str | None = None
    build_tree: bool = True
    keys: Keys = field(default_factory=Keys)


@dataclass(frozen=True, slots=True)
class Estimate:
    """`documents` that were given, `unchanged` of them; `chunks` of the dataset as it will be, `new_chunks` of them to
    be indexed. `tree` is `unchanged` where the live one stays, `none` where none is wanted. `warnings` are about names
    of retired models."""

    dataset_exists: bool
    documents: int
    unchanged: int
    chunks: int
    new_chunks: int
    embedding_model: str
    summary_llm: str
    tree: Literal["built", "unchanged", "none"]
    levels: Sequence[LevelEstimate]
    lines: Sequence[CostLine]
    warnings: Sequence[str] = ()


MAINTAINED = (
    "The dataset has a tree, which grows with the change: these are the summaries that may be on its path, the most"
    " that it can be. Usually passages share their paths, and it is a fraction of that."
)


class CostEstimator:
    def __init__(
        self,
        open_storage: OpenStorage[EstimateStorage],
        readers: Mapping[str, Reader],
        models: Models,
        params: TreeParams,
    ) -> None:
        self._open = open_storage
        self._readers = readers
        self._models = models
        self._params = params

    async def estimate(self, tenant: TenantId, request: EstimateRequest) -> Estimate:
        """Raises DatasetNotFound where neither texts nor a dataset are given, UnknownModel, InvalidRequest,
        InvalidEncoding, EmptyDocument."""
        context = CallContext(tenant, request.dataset_id, keys=request.keys)
        async with self._open(tenant) as work:
            dataset = await dataset_or_none(work, request)
        uploads = [with_settings(one, dataset) if dataset is not None else one for one in request.uploads]
        chunked = await asyncio.to_thread(self._chunked, uploads)
        space = await self._space(dataset, request, context)
        async with self._open(tenant, snapshot=True) as work:
            expected = await expected_dataset(work, dataset, space, chunked)
            terms = self._models.embedder_terms(space)
            embedding = await embedding_lines(work, terms, space, expected.new.values())
            live = await work.live_tree(request.dataset_id) if dataset is not None else None
        params = self._tree_params(dataset, live if request.uploads else None, request, context)
        stays = dataset is not None and live is not None and tree_stays(live, dataset, expected, params)
        levels = [] if stays or not request.build_tree else expected_levels(expected.leaves(), params)
        maintained = (
            dataset is not None and live is not None and self._maintained(request, dataset, live, expected, params)
        )
        if maintained:
            levels = on_the_path(levels, expected.changed)
        summaries = self._models.chat_terms(params.summary_llm)
        questions = await asyncio.to_thread(refinement_questions, expected.to_refine) if summaries is not None else []
        return Estimate(
            dataset_exists=dataset is not None,
            documents=len(request.uploads),
            unchanged=expected.unchanged,
            chunks=len(expected.kept) + expected.new_chunks,
            new_chunks=expected.new_chunks,
            embedding_model=space.name,
            summary_llm=self._models.resolve_chat(params.summary_llm).name,
            tree="built" if levels else "unchanged" if stays and request.build_tree else "none",
            levels=levels,
            lines=[*refinement_lines(questions, summaries), *embedding, *tree_lines(levels, summaries, terms.terms)],
            warnings=self._warnings(request, params, maintained=maintained and bool(levels)),
        )

    def _maintained(
        self, request: EstimateRequest, dataset: Dataset, live: Tree, expected: ExpectedDataset, params: TreeParams
    ) -> bool:
        """Whether an ingest would write the change's own path only."""
        wanted = self._params.changed(request.changes, dataset.settings)
        alike = made_alike(live.params, stored_params(dataset, params), wanted.summary_llm == AUTO)
        return bool(request.uploads) and alike and maintainable(live, expected.changed)

    def _warnings(self, request: EstimateRequest, params: TreeParams, *, maintained: bool) -> list[str]:
        notes = [self._models.resolve_chat(params.summary_llm).note, MAINTAINED if maintained else ""]
        if request.embedding_model is not None:
            notes.append(self._models.resolve_embedder(request.embedding_model).note)
        return [note for note in notes if note]

    def _chunked(self, uploads: Sequence[Upload]) -> list[ChunkedUpload]:
        return [chunked_upload(upload, reader_for(self._readers, upload.file_name)) for upload in uploads]

    async def _space(self, dataset: Dataset | None, request: EstimateRequest, context: CallContext) -> EmbeddingSpace:
        if dataset is not None and request.embedding_model is None:
            return dataset.space
        return await self._models.space(request.embedding_model, context)

    def _tree_params(
        self, dataset: Dataset | None, live: Tree | None, request: EstimateRequest, context: CallContext
    ) -> TreeParams:
        settings = dataset.settings if dataset is not None else {}
        params = self._params.changed(request.changes, settings)
        return replace(params, summary_llm=writer_of(self._models, params.summary_llm, live, context))


async def dataset_or_none(work: EstimateStorage, request: EstimateRequest) -> Dataset | None:
    try:
        return await work.get_dataset(request.dataset_id)
    except DatasetNotFound:
        if not request.uploads:
            raise
        return None


def chunked_upload(upload: Upload, reader: Reader) -> ChunkedUpload:
    source, chunking = as_described(upload, reader.read(upload.data)), upload.chunking
    spans = CHUNKERS[chunking.chunker](source.text, size=chunking.size, overlap=chunking.overlap)
    names = names_of(upload.file_name, upload.source, source.title, source.aliases)
    chunks = [chunk_text(source.text, names, span) for span in spans]
    return ChunkedUpload(upload, hashlib.sha256(upload.data).hexdigest(), source.text, chunks)


def chunk_text(source: str, names: Sequence[str], span: ChunkSpan) -> ChunkText:
    text = source[span.start : span.end]
    meta = {**span.meta, "names": names_beside(names, span.heading_path)}
    shown = for_models(text, span.meta.get("table_header"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ChunkText(span.heading_path, shown, indexed_passage(span.heading_path, text, meta), digest)


def tree_stays(live: Tree, dataset: Dataset, expected: ExpectedDataset, params: TreeParams) -> bool:
    """Whether a build would find the live tree to be the one that it is to make."""
    return not expected.new and live.fingerprint == fingerprint_of(dataset, params, expected.kept)
