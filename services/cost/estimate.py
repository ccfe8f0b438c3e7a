"""What an ingest or a rebuild will cost: the real chunks of the given texts, what is known of them already, and the
tree that will probably stand on them. Nothing is called, nothing is stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal, Protocol
from uuid import UUID

import numpy as np

from services.chunking import CHUNKERS
from services.chunking.refine import draft_of, question
from services.cost.budget import CallContext, Keys
from services.cost.expected_tree import (
    CostLine,
    Leaves,
    LevelEstimate,
    expected_levels,
    line_of,
    refinement_lines,
    tree_lines,
)
from services.cost.usage import Usage
from services.domain import Dataset, EmbeddingSpace, JsonObject, TenantId
from services.errors import DatasetNotFound
from services.ingest.documents import StoredDocument
from services.ingest.index import embedded_together, to_embed
from services.ingest.reader import Reader
from services.ingest.upload import Upload, same_processing
from services.models.registry import EmbedderTerms, Models
from services.storage import OpenStorage, UnitOfWork
from services.text.postings import indexed_text
from services.tree.build import fingerprint_of
from services.tree.nodes import Leaf, Tree
from services.tree.params import TreeParams
from utils.tokens import estimate_tokens

Texts = Sequence[tuple[tuple[str, ...], str]]  # heading path and text of each chunk of a document


class EstimateStorage(UnitOfWork, Protocol):
    """What an estimate asks of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def find_document(self, dataset_id: str, identity: str) -> StoredDocument | None: ...

    async def leaves_to_build(self, dataset_id: str) -> tuple[list[Leaf], list[UUID]]:
        """The leaves that a tree built now would stand on, in reading order, and the versions they belong to."""
        ...

    async def leaf_texts(self, chunk_ids: Collection[UUID]) -> dict[UUID, str]: ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def embedded_keys(self, keys: Collection[bytes], space: EmbeddingSpace) -> set[bytes]:
        """Those of the keys whose vectors are known."""
        ...


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


@dataclass(frozen=True, slots=True)
class Chunked:
    """An upload cut as it would be when it is ingested."""

    upload: Upload
    checksum: str
    text: str
    texts: Texts


@dataclass(slots=True)
class ExpectedDataset:
    """The dataset as it will be: leaves that are there, and by document the texts that are to be embedded."""

    kept: list[Leaf] = field(default_factory=list)
    new: dict[str, Texts] = field(default_factory=dict)
    unchanged: int = 0
    to_refine: list[Chunked] = field(default_factory=list)

    @property
    def new_chunks(self) -> int:
        return sum(map(len, self.new.values()))

    def leaves(self) -> Leaves:
        rows = [((leaf.document, leaf.idx), leaf.heading_path, leaf.token_cnt) for leaf in self.kept]
        for document, texts in self.new.items():
            rows += [((document, idx), path, estimate_tokens(text)) for idx, (path, text) in enumerate(texts)]
        rows.sort(key=lambda row: row[0])
        return Leaves(
            documents=[place[0] for place, _, _ in rows],
            paths=[path for _, path, _ in rows],
            tokens=np.array([tokens for _, _, tokens in rows], np.int64),
        )


class CostEstimator:
    def __init__(
        self, open_storage: OpenStorage[EstimateStorage], reader: Reader, models: Models, params: TreeParams
    ) -> None:
        self._open = open_storage
        self._reader = reader
        self._models = models
        self._params = params

    async def estimate(self, tenant: TenantId, request: EstimateRequest) -> Estimate:
        """Raises DatasetNotFound where neither texts nor a dataset are given, UnknownModel, InvalidRequest,
        InvalidEncoding, EmptyDocument."""
        context = CallContext(tenant, request.dataset_id, keys=request.keys)
        chunked = await asyncio.to_thread(lambda: [self._chunked(upload) for upload in request.uploads])
        async with self._open(tenant) as work:
            dataset = await dataset_or_none(work, request)
        space = await self._space(dataset, request, context)
        async with self._open(tenant, snapshot=True) as work:
            expected = await expected_dataset(work, dataset, space, chunked)
            terms = self._models.embedder_terms(space)
            embedding = await embedded(work, terms, space, expected.new.values())
            live = await work.live_tree(request.dataset_id) if dataset is not None else None
        params = self._tree_params(dataset, request, context)
        stays = dataset is not None and live is not None and not expected.new
        if stays and dataset is not None and live is not None:
            stays = live.fingerprint == fingerprint_of(dataset, params, expected.kept)
        levels = [] if stays or not request.build_tree else expected_levels(expected.leaves(), params)
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
            warnings=self._warnings(request, params),
        )

    def _warnings(self, request: EstimateRequest, params: TreeParams) -> list[str]:
        notes = [self._models.resolve_chat(params.summary_llm).note]
        if request.embedding_model is not None:
            notes.append(self._models.resolve_embedder(request.embedding_model).note)
        return [note for note in notes if note]

    def _chunked(self, upload: Upload) -> Chunked:
        text, chunking = self._reader.read(upload.data).text, upload.chunking
        spans = CHUNKERS[chunking.chunker](text, size=chunking.size, overlap=chunking.overlap)
        texts = [(span.heading_path, text[span.start : span.end]) for span in spans]
        return Chunked(upload, hashlib.sha256(upload.data).hexdigest(), text, texts)

    async def _space(self, dataset: Dataset | None, request: EstimateRequest, context: CallContext) -> EmbeddingSpace:
        if dataset is not None and request.embedding_model is None:
            return dataset.space
        return await self._models.space(request.embedding_model, context)

    def _tree_params(self, dataset: Dataset | None, request: EstimateRequest, context: CallContext) -> TreeParams:
        settings = dataset.settings if dataset is not None else {}
        params = self._params.changed({**settings, **request.changes})
        return replace(params, summary_llm=self._models.chosen_chat(params.summary_llm, context))


async def dataset_or_none(work: EstimateStorage, request: EstimateRequest) -> Dataset | None:
    try:
        return await work.get_dataset(request.dataset_id)
    except DatasetNotFound:
        if not request.uploads:
            raise
        return None


async def expected_dataset(
    work: EstimateStorage, dataset: Dataset | None, space: EmbeddingSpace, documents: Sequence[Chunked]
) -> ExpectedDataset:
    """What an ingest of the documents would make of the dataset. In another space than the dataset's all that it
    holds is embedded anew."""
    expected, replaced = ExpectedDataset(), set[str]()
    for number, document in enumerate(documents):
        identity = document.upload.identity
        stored = await work.find_document(dataset.dataset_id, identity) if dataset and identity else None
        if stored is not None and not stored.deleted:
            if same_processing(stored, document.upload, document.checksum, space.name):
                expected.unchanged += 1
                continue
            replaced.add(stored.doc_id)
        expected.new[identity or f"new:{number}"] = document.texts
        expected.to_refine.append(document)
    if dataset is None:
        return expected
    leaves, _ = await work.leaves_to_build(dataset.dataset_id)
    expected.kept = [leaf for leaf in leaves if leaf.doc_id not in replaced]
    if space != dataset.space:
        texts = await work.leaf_texts([leaf.chunk_id for leaf in expected.kept])
        for document_name, of_document in groupby(expected.kept, key=lambda leaf: leaf.document):
            expected.new[document_name] = [(leaf.heading_path, texts[leaf.chunk_id]) for leaf in of_document]
        expected.kept = []
    return expected


def refinement_questions(documents: Iterable[Chunked]) -> list[int]:
    """Tokens of each question that the refinement asks where it is asked for, or left open."""
    asked = []
    for document in documents:
        if document.upload.chunking.refine in ("auto", "llm"):
            for pieces in draft_of(document.text, document.upload.chunking).windows:
                request = question(pieces, "")
                asked.append(estimate_tokens(request.system) + estimate_tokens(request.user))
    return asked


async def embedded(
    work: EstimateStorage, terms: EmbedderTerms, space: EmbeddingSpace, documents: Iterable[Texts]
) -> list[CostLine]:
    """What the embedding of the documents takes, as `DocumentIndexer` goes about it; nothing for a built-in model."""
    if terms.terms is None:
        return []
    used = Usage()
    for document in documents:
        texts = [indexed_text(path, text) for path, text in document]
        units = terms.units(texts)
        keys = {position: key for unit in units for position, key in zip(unit.positions, unit.keys, strict=True)}
        stored = await work.embedded_keys(list(keys.values()), space)
        missing = to_embed(units, {position for position, key in keys.items() if key in stored})
        for together in embedded_together(missing, units, terms.batch):
            sent = [[texts[position] for position in positions] for positions in together]
            tokens = sum(estimate_tokens(text) for part in sent for text in part)
            used += Usage(calls=terms.calls(sent), input_tokens=tokens)
    return [line_of("embed", terms.terms, used, rounds=used.calls)] if used.calls else []
