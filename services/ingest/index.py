"""From stored texts to chunks with vectors: chunk, refine, persist, embed what is not known, hand over to the tree.

A job brings in one version or many; the texts of many go through each step together. Every step finds what an earlier
attempt left: chunks are there or not (one transaction), vectors are written as they arrive, and a text that was
embedded before, in this version or another, is never sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol
from uuid import UUID

from services.arrays import FloatArray
from services.chunking.refine import Draft, Refinement, draft_of, refine
from services.compute import Compute
from services.cost.usage import Usage
from services.domain import Chunk, Dataset, EmbeddingSpace, JsonObject
from services.ingest.cut import CutVersion, cut_all
from services.ingest.documents import NewVector, PendingVersion, VersionToIndex
from services.ingest.requests import embedded_together, to_embed, units_of
from services.jobs.job import Lease
from services.jobs.run import JobRun
from services.jobs.secrets import SecretBox, bring_keys
from services.models.chat import ChatModel
from services.models.embedding import Embedder
from services.models.registry import AUTO, Models
from services.storage import OpenStorage, UnitOfWork
from services.text.passage_text import indexed_passage
from services.text.postings import PostingLists

logger = logging.getLogger(__name__)

# Versions that go through the steps together: so many, and so many characters.
PART, PART_CHARACTERS = 200, 2_000_000


class IndexStorage(UnitOfWork, Protocol):
    """What indexing asks of storage."""

    async def versions_to_index(self, job_id: UUID) -> list[PendingVersion]:
        """Those that the job brings in; what a newer version has superseded before it was embedded is left out."""
        ...

    async def texts_to_index(self, version_ids: Sequence[UUID]) -> list[VersionToIndex]:
        """In the order of the ids; versions that were erased are left out."""
        ...

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    async def chunks_of(self, version_ids: Sequence[UUID]) -> list[Chunk]:
        """Version by version."""
        ...

    async def add_chunks(self, dataset_id: str, chunks: Sequence[Chunk]) -> None: ...

    async def add_postings(self, dataset_id: str, generation_id: UUID, lists: PostingLists) -> None:
        """What BM25 counts in a version's chunks or in a level of a tree."""
        ...

    async def reuse_vectors(self, dataset_id: str, keys: Mapping[UUID, bytes], space: EmbeddingSpace) -> set[UUID]:
        """Gives chunks whose text was embedded before in this space the vector of then; the owners that have one."""
        ...

    async def hold_chunks(self, dataset_id: str, chunk_ids: Collection[UUID]) -> set[UUID]:
        """Those that are still there: until the unit of work ends none of them is erased."""
        ...

    async def add_vectors(self, dataset_id: str, space: EmbeddingSpace, vectors: Sequence[NewVector]) -> None: ...

    async def lock_dataset(self, dataset_id: str) -> None:
        """As whoever changes documents or trees of a dataset does before anything else. Raises DatasetNotFound."""
        ...

    async def mark_embedded(self, dataset_id: str, version_ids: Sequence[UUID]) -> None: ...

    async def refinement_figures(self, job_id: UUID) -> JsonObject:
        """How many chunks the job's versions have, and what refinement left out of them."""
        ...

    async def serve_versions(self, version_ids: Collection[UUID]) -> None:
        """From now on these versions are served: what they replace is superseded, and no longer found."""
        ...

    async def serve_new(self, version_ids: Collection[UUID]) -> None:
        """The same for those whose document has none that is served yet; the others change with the tree."""
        ...

    async def want_tree(self, dataset_id: str) -> int:
        """Notes that the tree is behind its documents; the revision that a tree has to reach to hold them."""
        ...

    async def request_build(
        self, dataset_id: str, payer: str, *, at_once: bool = False, wishes: JsonObject | None = None
    ) -> UUID:
        """The build that will hold what this payer's uploads bring: the one that waits already, or a new one. `wishes`
        are the build's parameters, a `budget` and what was `spent` of it among them."""
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
        """Ends with the documents served, or waiting for the tree that will hold them."""
        async with self._open(run.tenant) as work:
            dataset = await work.get_dataset(run.job.dataset_id)
            versions = await work.versions_to_index(run.job.job_id)
        embedder = self._models.embedder(dataset.space, run.context)
        pending = [version for version in versions if not version.embedded]
        progress = IndexProgress(run, sum(version.characters for version in pending))
        for part in parts(pending):
            await self._index_part(run, dataset, part, embedder, progress)
        await self._hand_over(run, versions)

    async def _index_part(
        self,
        run: JobRun,
        dataset: Dataset,
        part: Sequence[PendingVersion],
        embedder: Embedder,
        progress: IndexProgress,
    ) -> None:
        progress.begin(sum(version.characters for version in part))
        ids = [version.version_id for version in part]
        async with self._open(run.tenant) as work:
            versions = await work.texts_to_index(ids)
            chunks = await work.chunks_of(ids)
        there = {chunk.version_id for chunk in chunks}
        new = [version for version in versions if version.version_id not in there]
        if new:
            chunks += await self._chunk(run, dataset, new, await self._refine(dataset, new, run, progress), progress)
        await self._embed(run, dataset, chunks, embedder, progress)
        async with self._open(run.tenant, run.lease) as work:
            await work.mark_embedded(dataset.dataset_id, ids)
            await work.commit()

    async def _refine(
        self, dataset: Dataset, versions: Sequence[VersionToIndex], run: JobRun, progress: IndexProgress
    ) -> list[Refinement | None]:
        """What a model decides about the texts; None where none is asked. Its answers are paid results: a repeated
        attempt, and a new version whose windows are the same, pay for none of them."""
        if not any(version.chunking.refine == "llm" for version in versions):
            return [None] * len(versions)
        name = dataset.settings.get("summary_llm", AUTO)
        model = self._models.chat(self._models.chosen_chat(name, run.context), run.context)
        slots = asyncio.Semaphore(model.concurrency)

        async def one(version: VersionToIndex) -> Refinement | None:
            async with slots:
                return await self._refine_one(version, model, run, progress, 1 / len(versions))

        refinements = list(await asyncio.gather(*map(one, versions)))
        windows = sum(refinement.windows for refinement in refinements if refinement is not None)
        unusable = sum(len(refinement.left) for refinement in refinements if refinement is not None)
        logger.info("chunks refined", extra={"windows": windows, "unusable": unusable})
        return refinements

    async def _refine_one(
        self, version: VersionToIndex, model: ChatModel, run: JobRun, progress: IndexProgress, share: float
    ) -> Refinement | None:
        if version.chunking.refine != "llm":
            return None
        await progress.report("chunk", 0.02)
        with run.timed("chunk_s"):
            draft: Draft = await self._compute(draft_of, version.text, version.chunking)

        async def refined(done: int, planned: int) -> None:
            await progress.report("refine", 0.02 + 0.08 * share * done / planned, done=done, planned=planned)

        with run.timed("refine_s"):
            return await refine(model, draft, version.version_id, refined)

    async def _chunk(
        self,
        run: JobRun,
        dataset: Dataset,
        versions: Sequence[VersionToIndex],
        refinements: Sequence[Refinement | None],
        progress: IndexProgress,
    ) -> list[Chunk]:
        await progress.report("chunk", 0.1)
        with run.timed("chunk_s"):
            pieces: list[CutVersion] = await self._compute(cut_all, versions, refinements)
        chunks = [chunk for of_version, _ in pieces for chunk in of_version]
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                await work.add_chunks(dataset.dataset_id, chunks)
                for version, (_, postings) in zip(versions, pieces, strict=True):
                    await work.add_postings(dataset.dataset_id, version.version_id, postings)
                await work.commit()
        return chunks

    async def _embed(
        self, run: JobRun, dataset: Dataset, chunks: Sequence[Chunk], embedder: Embedder, progress: IndexProgress
    ) -> None:
        texts = [indexed_passage(chunk.heading_path, chunk.text, chunk.meta) for chunk in chunks]
        units = units_of(by_document(chunks, texts), embedder.units)
        keys = {
            chunks[position].chunk_id: key
            for unit in units
            for position, key in zip(unit.positions, unit.keys, strict=True)
        }
        await progress.report("embed", 0.2)
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                known = await work.reuse_vectors(dataset.dataset_id, keys, embedder.space)
                await work.commit()
        missing = to_embed(units, {position for position, chunk in enumerate(chunks) if chunk.chunk_id in known})
        to_send = sum(map(len, missing))
        run.context.meter.add(Usage(cache_hits=len(chunks) - to_send, cache_misses=to_send))
        progress.embedding(len(chunks), done=len(chunks) - to_send)
        slots = asyncio.Semaphore(embedder.concurrency)
        failures: list[Exception] = []

        async def one(group: list[list[int]]) -> None:
            async with slots:
                if not failures:
                    try:
                        await self._embed_group(run, dataset, chunks, texts, group, keys, embedder)
                    except Exception as error:
                        failures.append(error)
                        return
                    await progress.embedded(sum(map(len, group)))

        # What is under way when one fails is paid for: it is waited for and stored before the job ends.
        await asyncio.gather(*map(one, embedded_together(missing, units, embedder.batch)))
        if failures:
            raise failures[0]

    async def _embed_group(
        self,
        run: JobRun,
        dataset: Dataset,
        chunks: Sequence[Chunk],
        texts: Sequence[str],
        group: Sequence[Sequence[int]],
        keys: Mapping[UUID, bytes],
        embedder: Embedder,
    ) -> None:
        owners = [chunks[position] for positions in group for position in positions]

        async def arrived(first: int, rows: FloatArray) -> None:
            vectors = [
                NewVector("chunk", owner.chunk_id, owner.version_id, 0, keys[owner.chunk_id], row)
                for owner, row in zip(owners[first : first + len(rows)], rows, strict=True)
            ]
            with run.timed("db_s", within="embed_s"):
                async with self._open(run.tenant, run.lease) as work:
                    # A job goes on when one of its documents is erased; nothing would erase these vectors later.
                    there = await work.hold_chunks(dataset.dataset_id, [one.owner_id for one in vectors])
                    kept = [one for one in vectors if one.owner_id in there]
                    await work.add_vectors(dataset.dataset_id, embedder.space, kept)
                    await work.commit()

        sent = [[texts[position] for position in positions] for positions in group]
        with run.timed("embed_s"):
            await embedder.embed(sent, kind="document", arrived=arrived)

    async def _hand_over(self, run: JobRun, versions: Sequence[PendingVersion]) -> None:
        """The JOIN of an upload with its dataset: from here the build owns it, or it is served at once."""
        for_tree = [version.version_id for version in versions if version.build_tree]
        beside = [version.version_id for version in versions if not version.build_tree]
        dataset_id = run.job.dataset_id
        async with self._open(run.tenant, run.lease) as work:
            await work.lock_dataset(dataset_id)
            revision = await work.want_tree(dataset_id) if for_tree else None
            result = upload_result(versions, await work.refinement_figures(run.job.job_id))
            await work.serve_versions(beside)
            if revision is None:
                await work.succeed_job(run.lease, result, run.figures())
            else:
                await work.serve_new(for_tree)
                await work.await_tree(run.lease, revision, result, run.figures())
                build = await work.request_build(dataset_id, run.job.payer, wishes=run.limits())
                await bring_keys(work, self._secrets, build, run.context.keys)
            await work.commit()


def upload_result(versions: Sequence[PendingVersion], figures: JsonObject) -> dict[str, Any]:
    """Of one document as clients of `ingest-markdown` read it; of many what they have together."""
    chunks = figures["chunks"]
    refined = {name: value for name, value in figures.items() if name != "chunks"}
    modes = sorted({version.refine for version in versions})
    result = {
        "documents": len(versions),
        "chunks": chunks,
        "upserted": chunks,
        "refinement": {"mode": modes[0] if len(modes) == 1 else "mixed", **refined},
    }
    return result | {"checksum": versions[0].checksum} if len(versions) == 1 else result


def parts(versions: Sequence[PendingVersion]) -> Iterator[list[PendingVersion]]:
    part: list[PendingVersion] = []
    size = 0
    for version in versions:
        if part and (len(part) == PART or size + version.characters > PART_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(version)
        size += version.characters
    if part:
        yield part


def by_document(chunks: Sequence[Chunk], texts: Sequence[str]) -> list[list[str]]:
    pairs = zip(chunks, texts, strict=True)
    return [[text for _, text in group] for _, group in groupby(pairs, key=lambda pair: pair[0].version_id)]


class IndexProgress:
    """How far a job is, over parts of so many characters: each goes from 0 to 1 through the same stages."""

    def __init__(self, run: JobRun, characters: int) -> None:
        self._run = run
        self._characters = max(characters, 1)
        self._before = self._part = 0
        self._planned = self._done = 0

    def begin(self, characters: int) -> None:
        self._before, self._part = self._before + self._part, characters

    async def report(self, stage: str, share: float, **detail: Any) -> None:
        await self._run.report(stage, (self._before + share * self._part) / self._characters, **detail)

    def embedding(self, planned: int, done: int) -> None:
        self._planned, self._done = planned, done

    async def embedded(self, chunks: int) -> None:
        self._done += chunks
        await self.report("embed", 0.2 + 0.8 * self._done / self._planned, done=self._done, planned=self._planned)
