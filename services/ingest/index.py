"""From a stored text to chunks with vectors: chunk, refine, persist, embed what is not known, hand over to the tree.

Every step finds what an earlier attempt left: chunks are there or not (one transaction), vectors are written as they
arrive, and a text that was embedded before, in this version or another, is never sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from services.arrays import FloatArray
from services.chunking import CHUNKERS
from services.chunking.refine import Draft, Refinement, draft_of, heuristic, refine
from services.compute import Compute
from services.cost.usage import Usage
from services.domain import Chunk, ChunkSpan, Dataset, EmbeddingSpace, JsonObject
from services.ingest.documents import NewVector, VersionToIndex
from services.jobs.job import Lease
from services.jobs.run import JobRun
from services.jobs.secrets import SecretBox, bring_keys
from services.models.embedding import Embedder, EmbeddingUnit
from services.models.registry import AUTO, Models
from services.storage import OpenStorage, UnitOfWork
from services.text.postings import PostingLists, indexed_text, posting_lists
from utils.batching import batches
from utils.hashing import stable_uuid
from utils.tokens import estimate_tokens

logger = logging.getLogger(__name__)


class IndexStorage(UnitOfWork, Protocol):
    """What indexing asks of storage."""

    async def version_to_index(self, version_id: UUID) -> VersionToIndex:
        """Raises DocumentNotFound."""
        ...

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def chunks_of(self, version_id: UUID) -> list[Chunk]: ...

    async def add_chunks(self, version: VersionToIndex, chunks: Sequence[Chunk]) -> None: ...

    async def add_postings(self, dataset_id: str, generation_id: UUID, lists: PostingLists) -> None:
        """What BM25 counts in a version's chunks or in a level of a tree."""
        ...

    async def reuse_vectors(
        self, dataset_id: str, generation_id: UUID, keys: Mapping[UUID, bytes], space: EmbeddingSpace
    ) -> set[UUID]:
        """Gives chunks whose text was embedded before in this space the vector of then; the owners that have one."""
        ...

    async def add_vectors(self, dataset_id: str, space: EmbeddingSpace, vectors: Sequence[NewVector]) -> None: ...

    async def lock_dataset(self, dataset_id: str) -> None:
        """As whoever changes documents or trees of a dataset does before anything else. Raises DatasetNotFound."""
        ...

    async def mark_embedded(self, version_id: UUID, chunk_count: int) -> None: ...

    async def serve_versions(self, version_ids: Collection[UUID]) -> None:
        """From now on these versions are served: what they replace is superseded, and no longer found."""
        ...

    async def want_tree(self, dataset_id: str) -> int:
        """Notes that the tree is behind its documents; the revision that a tree has to reach to hold them."""
        ...

    async def request_build(self, dataset_id: str, *, at_once: bool = False, limits: JsonObject | None = None) -> UUID:
        """The build that will hold all that the dataset has now: the one that waits already, or a new one. `limits`,
        a `budget` and what was `spent` of it, take the place of those of the one that waits."""
        ...

    async def await_tree(self, lease: Lease, revision: int, result: JsonObject, figures: JsonObject) -> None:
        """The upload's own work is done; it ends with the build that reaches this revision."""
        ...

    async def succeed_job(self, lease: Lease, result: JsonObject, figures: JsonObject) -> None: ...

    async def put_secrets(self, job_id: UUID, sealed: Mapping[str, bytes]) -> None: ...


class DocumentIndexer:
    def __init__(
        self,
        open_storage: OpenStorage[IndexStorage],
        models: Models,
        compute: Compute,
        secrets: SecretBox,
    ) -> None:
        self._open = open_storage
        self._models = models
        self._compute = compute
        self._secrets = secrets

    async def index(self, run: JobRun) -> None:
        """Ends with the document served, or waiting for the tree that will hold it."""
        async with self._open(run.tenant) as work:
            assert run.job.version_id is not None
            version = await work.version_to_index(run.job.version_id)
            dataset = await work.get_dataset(version.dataset_id)
            chunks = await work.chunks_of(version.version_id)
        if version.embedded_at is None:
            if not chunks:
                refinement = await self._refine(run, version, dataset)
                chunks = await self._chunk(run, version, refinement)
            await self._embed(run, version, chunks, self._models.embedder(dataset.space, run.context))
        await self._hand_over(run, version, chunks)

    async def _refine(self, run: JobRun, version: VersionToIndex, dataset: Dataset) -> Refinement | None:
        """What a model decides about the text; None where none is asked. Its answers are paid results: a repeated
        attempt, and a new version whose windows are the same, pay for none of them."""
        if version.chunking.refine != "llm":
            return None
        await run.report("chunk", 0.02)
        with run.timed("chunk_s"):
            draft: Draft = await self._compute(draft_of, version.text, version.chunking)
        name = dataset.settings.get("summary_llm", AUTO)
        model = self._models.chat(self._models.chosen_chat(name, run.context), run.context)

        async def progress(done: int, planned: int) -> None:
            await run.report("refine", 0.02 + 0.08 * done / planned, done=done, planned=planned)

        with run.timed("refine_s"):
            refinement = await refine(model, draft, progress)
        figures = {"windows": refinement.windows, "unusable": len(refinement.left)}
        logger.info("chunks refined", extra={"dropped": len(refinement.edits.dropped), **figures})
        return refinement

    async def _chunk(self, run: JobRun, version: VersionToIndex, refinement: Refinement | None) -> list[Chunk]:
        await run.report("chunk", 0.1)
        with run.timed("chunk_s"):
            chunks: list[Chunk]
            postings: PostingLists
            chunks, postings = await self._compute(cut, version, refinement)
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                await work.add_chunks(version, chunks)
                await work.add_postings(version.dataset_id, version.version_id, postings)
                await work.commit()
        return chunks

    async def _embed(self, run: JobRun, version: VersionToIndex, chunks: Sequence[Chunk], embedder: Embedder) -> None:
        texts = [indexed_text(chunk.heading_path, chunk.text) for chunk in chunks]
        units = embedder.units(texts)
        keys = {
            chunks[position].chunk_id: key
            for unit in units
            for position, key in zip(unit.positions, unit.keys, strict=True)
        }
        await run.report("embed", 0.2)
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                known = await work.reuse_vectors(version.dataset_id, version.version_id, keys, embedder.space)
                await work.commit()
        missing = to_embed(units, {position for position, chunk in enumerate(chunks) if chunk.chunk_id in known})
        to_send = sum(map(len, missing))
        run.context.meter.add(Usage(cache_hits=len(chunks) - to_send, cache_misses=to_send))
        progress = IndexProgress(run, len(chunks), done=len(chunks) - to_send)
        slots = asyncio.Semaphore(embedder.concurrency)
        failures: list[Exception] = []

        async def one(group: list[list[int]]) -> None:
            async with slots:
                if not failures:
                    try:
                        await self._embed_group(run, version, chunks, group, keys, embedder)
                    except Exception as error:
                        failures.append(error)
                        return
                    await progress(sum(map(len, group)))

        # What is under way when one fails is paid for: it is waited for and stored before the job ends.
        await asyncio.gather(*map(one, embedded_together(missing, units, embedder.batch)))
        if failures:
            raise failures[0]

    async def _embed_group(
        self,
        run: JobRun,
        version: VersionToIndex,
        chunks: Sequence[Chunk],
        group: Sequence[Sequence[int]],
        keys: Mapping[UUID, bytes],
        embedder: Embedder,
    ) -> None:
        texts = [
            [indexed_text(chunks[position].heading_path, chunks[position].text) for position in positions]
            for positions in group
        ]
        owners = [chunks[position].chunk_id for positions in group for position in positions]

        async def arrived(first: int, rows: FloatArray) -> None:
            vectors = [
                NewVector("chunk", owner, version.version_id, 0, keys[owner], row)
                for owner, row in zip(owners[first : first + len(rows)], rows, strict=True)
            ]
            with run.timed("db_s", within="embed_s"):
                async with self._open(run.tenant, run.lease) as work:
                    await work.add_vectors(version.dataset_id, embedder.space, vectors)
                    await work.commit()

        with run.timed("embed_s"):
            await embedder.embed(texts, kind="document", arrived=arrived)

    async def _hand_over(self, run: JobRun, version: VersionToIndex, chunks: Sequence[Chunk]) -> None:
        """The JOIN of an upload with its dataset: from here the build owns it, or it is served at once."""
        result = {
            "chunks": len(chunks),
            "upserted": len(chunks),
            "checksum": version.checksum,
            "refinement": refinement_figures(version, chunks),
        }
        async with self._open(run.tenant, run.lease) as work:
            await work.lock_dataset(version.dataset_id)
            await work.mark_embedded(version.version_id, len(chunks))
            if version.build_tree:
                revision = await work.want_tree(version.dataset_id)
                await work.await_tree(run.lease, revision, result, run.figures())
                build = await work.request_build(version.dataset_id, limits=run.limits())
                await bring_keys(work, self._secrets, build, run.context.keys)
            else:
                await work.serve_versions([version.version_id])
                await work.succeed_job(run.lease, result, run.figures())
            await work.commit()


def to_embed(units: Sequence[EmbeddingUnit], known: Collection[int]) -> list[list[int]]:
    """Of each unit the positions that have to be sent: those that are not known, or all where they see each other."""
    return [
        [position for position in unit.positions if unit.together or position not in known]
        for unit in units
        if any(position not in known for position in unit.positions)
    ]


def embedded_together(
    missing: list[list[int]], units: Sequence[EmbeddingUnit], batch: int
) -> Iterator[list[list[int]]]:
    """What is asked for and stored at a time, so that a crash repeats no more, as neighbours of one document: a window
    of a contextual embedder, or as many texts as one request to another takes."""
    if units and units[0].together:
        yield from ([positions] for positions in missing)
    else:
        yield from ([list(texts)] for texts in batches([p for unit in missing for p in unit], batch))


class IndexProgress:
    """Called with the number of chunks that were embedded."""

    def __init__(self, run: JobRun, planned: int, done: int) -> None:
        self._run = run
        self._planned = planned
        self._done = done

    async def __call__(self, embedded: int) -> None:
        self._done += embedded
        share = self._done / self._planned
        await self._run.report("embed", 0.2 + 0.8 * share, done=self._done, planned=self._planned)


def cut(version: VersionToIndex, refinement: Refinement | None) -> tuple[list[Chunk], PostingLists]:
    """Runs in the process pool: ten megabytes of Markdown take seconds. Ids follow from version and position, so that
    a repeated attempt writes the same rows."""
    chunking = version.chunking
    if chunking.refine == "heuristic":
        refinement = heuristic(version.text)
    refinement = refinement or Refinement()
    spans = CHUNKERS[chunking.chunker](
        version.text, size=chunking.size, overlap=chunking.overlap, edits=refinement.edits
    )
    chunks = [chunk_from(version, idx, span) for idx, span in enumerate(with_traces(spans, refinement))]
    return chunks, posting_lists(0, [indexed_text(chunk.heading_path, chunk.text) for chunk in chunks])


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


def refinement_figures(version: VersionToIndex, chunks: Sequence[Chunk]) -> dict[str, Any]:
    """From the stored chunks, so that a job that was interrupted tells the same."""
    dropped = [span for chunk in chunks for span in chunk.meta.get("dropped", ())]
    return {
        "mode": version.chunking.refine,
        "dropped": len(dropped),
        "dropped_characters": sum(end - start for start, end in dropped),
        "skipped_chunks": sum("refinement" in chunk.meta for chunk in chunks),
    }


def chunk_from(version: VersionToIndex, idx: int, span: ChunkSpan) -> Chunk:
    text = version.text[span.start : span.end]
    return Chunk(
        chunk_id=stable_uuid("chunk", version.version_id, idx),
        doc_id=version.doc_id,
        version_id=version.version_id,
        idx=idx,
        text=text,
        start=span.start,
        end=span.end,
        heading_path=span.heading_path,
        token_cnt=estimate_tokens(text),
        hash=hashlib.sha256(text.encode()).hexdigest(),
        meta=span.meta,
    )
