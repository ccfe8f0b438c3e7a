"""What an ingest will make of a dataset: the leaves that stay, and the texts that have to be refined and embedded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol
from uuid import UUID

import numpy as np

from services.chunking.refine import draft_of, question
from services.cost.cost_lines import CostLine, line_of
from services.cost.expected_tree import Leaves
from services.cost.usage import Usage
from services.domain import Dataset, EmbeddingSpace
from services.ingest.documents import StoredDocument
from services.ingest.requests import embedded_together, to_embed, units_of
from services.ingest.upload import Upload, same_processing
from services.models.registry import EmbedderTerms
from services.storage import UnitOfWork
from services.text.postings import indexed_text
from services.tree.nodes import Leaf, Tree
from utils.tokens import estimate_tokens


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A chunk as models read it: `indexed` is what is embedded for it, `hash` that of the text as it stands."""

    heading_path: tuple[str, ...]
    text: str
    indexed: str
    hash: str


# The chunks of a document.
ChunkTexts = Sequence[ChunkText]


class EstimateStorage(UnitOfWork, Protocol):
    """What an estimate asks of storage."""

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def find_document(self, dataset_id: str, identity: str) -> StoredDocument | None: ...

    async def leaves_to_build(self, dataset_id: str, payer: str | None) -> tuple[list[Leaf], list[UUID]]:
        """The leaves that a tree built now would stand on, in reading order, and the versions they belong to; with
        None, those of whatever is embedded."""
        ...

    async def leaf_texts(self, chunk_ids: Collection[UUID]) -> dict[UUID, str]: ...

    async def live_tree(self, dataset_id: str) -> Tree | None: ...

    async def embedded_keys(self, keys: Collection[bytes], space: EmbeddingSpace) -> set[bytes]:
        """Those of the keys whose vectors are known."""
        ...


@dataclass(frozen=True, slots=True)
class ChunkedUpload:
    """An upload cut as it would be when it is ingested."""

    upload: Upload
    checksum: str
    text: str
    chunks: ChunkTexts


@dataclass(frozen=True, slots=True)
class ExpectedDataset:
    """`kept` are leaves that are there and stay, `replaced` those of documents that change; `new` are the texts to
    embed, by document; `unchanged` counts uploads that change nothing, `to_refine` are the others."""

    kept: Sequence[Leaf]
    replaced: Sequence[Leaf]
    new: Mapping[str, ChunkTexts]
    unchanged: int
    to_refine: Sequence[ChunkedUpload]

    @property
    def new_chunks(self) -> int:
        return sum(map(len, self.new.values()))

    @property
    def changed(self) -> int:
        """Passages that come and go; one that a changed document keeps does neither."""
        gone = Counter(leaf.hash for leaf in self.replaced)
        come = Counter(chunk.hash for chunks in self.new.values() for chunk in chunks)
        return (gone - come).total() + (come - gone).total()

    def leaves(self) -> Leaves:
        rows = [((leaf.document, leaf.idx), leaf.heading_path, leaf.token_cnt) for leaf in self.kept]
        for document, chunks in self.new.items():
            rows += [((document, idx), one.heading_path, estimate_tokens(one.text)) for idx, one in enumerate(chunks)]
        rows.sort(key=lambda row: row[0])
        return Leaves(
            documents=[place[0] for place, _, _ in rows],
            paths=[path for _, path, _ in rows],
            tokens=np.array([tokens for _, _, tokens in rows], np.int64),
        )


async def expected_dataset(
    work: EstimateStorage, dataset: Dataset | None, space: EmbeddingSpace, uploads: Sequence[ChunkedUpload]
) -> ExpectedDataset:
    """What an ingest of the uploads would make of the dataset. In another space than the dataset's all that it holds
    is embedded anew."""
    stored = [await stored_document(work, dataset, one.upload) for one in uploads]
    new: dict[str, ChunkTexts] = {}
    to_refine: list[ChunkedUpload] = []
    replaced: set[str] = set()
    for number, (one, document) in enumerate(zip(uploads, stored, strict=True)):
        if document is not None:
            if same_processing(document, one.upload, one.checksum, space.name):
                continue
            replaced.add(document.doc_id)
        new[one.upload.identity or f"new:{number}"] = one.chunks
        to_refine.append(one)
    kept: list[Leaf] = []
    gone: list[Leaf] = []
    if dataset is not None:
        leaves, _ = await work.leaves_to_build(dataset.dataset_id, None)
        kept = [leaf for leaf in leaves if leaf.doc_id not in replaced]
        gone = [leaf for leaf in leaves if leaf.doc_id in replaced]
        if space != dataset.space:
            new |= await chunks_by_document(work, kept)
            kept = []
    return ExpectedDataset(kept, gone, new, len(uploads) - len(to_refine), to_refine)


async def stored_document(work: EstimateStorage, dataset: Dataset | None, upload: Upload) -> StoredDocument | None:
    """The document that the upload would replace."""
    if dataset is None or not upload.identity:
        return None
    stored = await work.find_document(dataset.dataset_id, upload.identity)
    return None if stored is None or stored.deleted else stored


async def chunks_by_document(work: EstimateStorage, leaves: Sequence[Leaf]) -> dict[str, ChunkTexts]:
    texts = await work.leaf_texts([leaf.chunk_id for leaf in leaves])
    return {
        document: [
            ChunkText(leaf.heading_path, text := texts[leaf.chunk_id], indexed_text(leaf.heading_path, text), leaf.hash)
            for leaf in of_document
        ]
        for document, of_document in groupby(leaves, key=lambda leaf: leaf.document)
    }


def refinement_questions(documents: Iterable[ChunkedUpload]) -> list[int]:
    """Tokens of each question that the refinement asks a model, for uploads that want it or leave it open."""
    asked = []
    for document in documents:
        if document.upload.chunking.refine in ("auto", "llm"):
            for pieces in draft_of(document.text, document.upload.chunking).windows:
                request = question(pieces, "")
                asked.append(estimate_tokens(request.system) + estimate_tokens(request.user))
    return asked


async def embedding_lines(
    work: EstimateStorage, terms: EmbedderTerms, space: EmbeddingSpace, documents: Iterable[ChunkTexts]
) -> list[CostLine]:
    """The line of embedding the documents, in the calls that `DocumentIndexer` makes; none for a built-in model."""
    if terms.terms is None:
        return []
    by_document = [[chunk.indexed for chunk in document] for document in documents]
    texts = [text for document in by_document for text in document]
    units = units_of(by_document, terms.units)
    keys = {position: key for unit in units for position, key in zip(unit.positions, unit.keys, strict=True)}
    stored = await work.embedded_keys(list(keys.values()), space)
    missing = to_embed(units, {position for position, key in keys.items() if key in stored})
    used = Usage()
    for together in embedded_together(missing, units, terms.batch):
        sent = [[texts[position] for position in positions] for positions in together]
        tokens = sum(estimate_tokens(text) for part in sent for text in part)
        used += Usage(calls=terms.calls(sent), input_tokens=tokens)
    return [line_of("embed", terms.terms, used, rounds=used.calls)] if used.calls else []
