"""A version's text cut into chunks, with the terms that BM25 counts in them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from services.chunking import CHUNKERS
from services.chunking.refine import Refinement, heuristic
from services.domain import Chunk, ChunkSpan
from services.ingest.documents import VersionToIndex
from services.text.passage_text import for_models, indexed_passage, names_beside
from services.text.postings import PostingLists, posting_lists
from utils.hashing import stable_uuid
from utils.tokens import estimate_tokens

CutVersion = tuple[list[Chunk], PostingLists]


def cut_all(versions: Sequence[VersionToIndex], refinements: Sequence[Refinement | None]) -> list[CutVersion]:
    """Runs in the process pool: ten megabytes of Markdown take seconds."""
    return [cut(version, refinement) for version, refinement in zip(versions, refinements, strict=True)]


def cut(version: VersionToIndex, refinement: Refinement | None) -> CutVersion:
    """Ids follow from version and position, so that a repeated attempt writes the same rows."""
    chunking = version.chunking
    if chunking.refine == "heuristic":
        refinement = heuristic(version.text)
    refinement = refinement or Refinement()
    spans = CHUNKERS[chunking.chunker](
        version.text, size=chunking.size, overlap=chunking.overlap, edits=refinement.edits
    )
    chunks = [chunk_from(version, idx, span) for idx, span in enumerate(with_traces(spans, refinement))]
    return chunks, posting_lists(0, [indexed_passage(chunk.heading_path, chunk.text, chunk.meta) for chunk in chunks])


def with_traces(spans: Sequence[ChunkSpan], refinement: Refinement) -> Iterator[ChunkSpan]:
    """The spans with what refinement did there, so that it can be seen and taken back: `dropped` are the ranges left
    out between the chunk before and this one (in the last chunk also those after it), `refinement` is `skipped` where
    no model's answer was of use."""
    dropped, left = deque(refinement.edits.dropped), deque(refinement.left)
    for number, span in enumerate(spans, 1):
        meta = dict(span.meta)
        before = []
        while dropped and (dropped[0][0] < span.end or number == len(spans)):
            before.append(list(dropped.popleft()))
        if before:
            meta["dropped"] = before
        while left and left[0][1] <= span.start:
            left.popleft()
        if left and left[0][0] < span.end:
            meta["refinement"] = "skipped"
        yield replace(span, meta=meta)


def chunk_from(version: VersionToIndex, idx: int, span: ChunkSpan) -> Chunk:
    text = version.text[span.start : span.end]
    names = names_beside(version.names, span.heading_path)
    return Chunk(
        chunk_id=stable_uuid("chunk", version.version_id, idx),
        doc_id=version.doc_id,
        version_id=version.version_id,
        idx=idx,
        text=text,
        start=span.start,
        end=span.end,
        heading_path=span.heading_path,
        token_cnt=estimate_tokens(for_models(text, span.meta.get("table_header"))),
        hash=hashlib.sha256(text.encode()).hexdigest(),
        meta={**span.meta, **({"names": names} if names else {})},
    )
