"""From a stored text to chunks with vectors: chunk, persist, embed what is not known yet, hand over to the tree.

Every step finds what an earlier attempt left: chunks are there or not (one transaction), vectors are written as they
arrive, and a text that was embedded before, in this version or another, is never sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from services.chunking import CHUNKERS
from services.domain import Chunk, ChunkSpan, Usage
from services.jobs import JobRun
from services.ports import Compute, Embedder, EmbeddingUnit, Models, SecretBox
from services.postings import PostingLists, indexed_text, posting_lists
from services.store import NewVector, OpenUnitOfWork, VersionToIndex
from utils.batching import batches
from utils.hashing import stable_uuid
from utils.tokens import estimate_tokens

# Vectors are written as often as this, so that a crash repeats at most one batch.
EMBED_BATCH = 256


class DocumentIndexer:
    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        models: Models,
        compute: Compute,
        secrets: SecretBox,
    ) -> None:
        self._open = open_unit_of_work
        self._models = models
        self._compute = compute
        self._secrets = secrets

    async def index(self, run: JobRun) -> None:
        """Ends with the document served, or waiting for the tree that will hold it."""
        async with self._open(run.tenant) as work:
            assert run.job.version_id is not None
            version = await work.documents.version_to_index(run.job.version_id)
            dataset = await work.datasets.get(version.dataset_id)
            chunks = await work.documents.chunks_of(version.version_id)
        if version.embedded_at is None:
            if not chunks:
                chunks = await self._chunk(run, version)
            await self._embed(run, version, chunks, self._models.embedder(dataset.space, run.errand))
        await self._hand_over(run, version, len(chunks))

    async def _chunk(self, run: JobRun, version: VersionToIndex) -> list[Chunk]:
        await run.report("chunk", 0.05)
        with run.timed("chunk_s"):
            chunks: list[Chunk]
            postings: PostingLists
            chunks, postings = await self._compute(cut, version)
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                await work.documents.add_chunks(version, chunks)
                await work.postings.add(version.dataset_id, version.version_id, postings)
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
                known = await work.vectors.reuse(version.dataset_id, version.version_id, keys, embedder.space)
                await work.commit()
        missing = [
            [position for position in unit.positions if unit.together or chunks[position].chunk_id not in known]
            for unit in units
            if any(chunks[position].chunk_id not in known for position in unit.positions)
        ]
        to_send = sum(map(len, missing))
        run.errand.meter.add(Usage(cache_hits=len(chunks) - to_send))
        done = len(chunks) - to_send
        for group in self._groups(missing, units):
            with run.timed("embed_s"):
                answer = await embedder.embed(
                    [[texts[position] for position in positions] for positions in group], kind="document"
                )
            flat = [position for positions in group for position in positions]
            vectors = [
                NewVector(
                    owner_type="chunk",
                    owner_id=chunks[position].chunk_id,
                    generation_id=version.version_id,
                    level=0,
                    content_key=keys[chunks[position].chunk_id],
                    vector=vector,
                )
                for position, vector in zip(flat, answer.vectors, strict=True)
            ]
            with run.timed("db_s"):
                async with self._open(run.tenant, run.lease) as work:
                    await work.vectors.add(version.dataset_id, embedder.space, vectors)
                    await work.commit()
            done += len(flat)
            await run.report("embed", 0.2 + 0.8 * done / len(chunks), done=done, planned=len(chunks))

    @staticmethod
    def _groups(missing: list[list[int]], units: Sequence[EmbeddingUnit]) -> Iterator[list[list[int]]]:
        """What is asked for and stored at a time, as neighbours of one document: a window of a contextual embedder, or
        so many texts of another."""
        if units and units[0].together:
            yield from ([positions] for positions in missing)
        else:
            yield from ([list(batch)] for batch in batches([p for unit in missing for p in unit], EMBED_BATCH))

    async def _hand_over(self, run: JobRun, version: VersionToIndex, chunk_count: int) -> None:
        """The JOIN of an upload with its dataset: from here the build owns it, or it is served at once."""
        result = {"chunks": chunk_count, "upserted": chunk_count, "checksum": version.checksum}
        async with self._open(run.tenant, run.lease) as work:
            await work.documents.mark_embedded(version.version_id, chunk_count)
            if version.build_tree:
                revision = await work.datasets.want_tree(version.dataset_id)
                await work.jobs.await_tree(run.lease, revision, result, run.figures())
                build = await work.jobs.request_build(version.dataset_id, budget=run.job.params.get("budget"))
                sealed = {provider: self._secrets.seal(key, build.hex) for provider, key in run.errand.keys.items()}
                await work.jobs.put_secrets(build, sealed)
            else:
                await work.documents.take_over([version.version_id])
                await work.jobs.succeed(run.lease, result, run.figures())
            await work.commit()


def cut(version: VersionToIndex) -> tuple[list[Chunk], PostingLists]:
    """Runs in the process pool: ten megabytes of Markdown take seconds. Ids follow from version and position, so that
    a repeated attempt writes the same rows."""
    chunking = version.chunking
    spans = CHUNKERS[chunking.chunker](version.text, size=chunking.size, overlap=chunking.overlap)
    chunks = [chunk_from(version, idx, span) for idx, span in enumerate(spans)]
    return chunks, posting_lists(0, [indexed_text(chunk.heading_path, chunk.text) for chunk in chunks])


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
