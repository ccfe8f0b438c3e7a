"""From a stored text to chunks with vectors: chunk, persist, embed what is not known yet, hand over to the tree.

Every step finds what an earlier attempt left: chunks are there or not (one transaction), vectors are written as they
arrive, and a text that was embedded before, in this version or another, is never sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from services.chunking import CHUNKERS
from services.domain import Chunk, ChunkSpan, Dataset, Usage
from services.jobs import JobRun
from services.ports import Compute, Embedder
from services.store import NewVector, OpenUnitOfWork, VersionToIndex
from utils.batching import batches
from utils.hashing import content_key, stable_uuid
from utils.tokens import estimate_tokens

# Vectors are written as often as this, so that a crash repeats at most one batch.
EMBED_BATCH = 256


def embedded_text(chunk: Chunk) -> str:
    """What is embedded for a chunk: its heading path stands in front, so that a passage is found by the topic that
    only its headings name."""
    path = " > ".join(chunk.heading_path)
    return f"{path}\n\n{chunk.text}" if path else chunk.text


class DocumentIndexer:
    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        embedder_for: Callable[[Dataset], Embedder],
        compute: Compute,
    ) -> None:
        self._open = open_unit_of_work
        self._embedder_for = embedder_for
        self._compute = compute

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
            await self._embed(run, version, chunks, self._embedder_for(dataset))
        await self._hand_over(run, version, len(chunks))

    async def _chunk(self, run: JobRun, version: VersionToIndex) -> list[Chunk]:
        await run.report("chunk", 0.05)
        with run.timed("chunk_s"):
            spans = await self._compute(
                cut, version.chunking.chunker, version.text, version.chunking.size, version.chunking.overlap
            )
        chunks = chunks_from(version, spans)
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                await work.documents.add_chunks(version, chunks)
                await work.commit()
        return chunks

    async def _embed(self, run: JobRun, version: VersionToIndex, chunks: Sequence[Chunk], embedder: Embedder) -> None:
        texts = {chunk.chunk_id: embedded_text(chunk) for chunk in chunks}
        keys = {owner: content_key("embedding", embedder.space.name, text) for owner, text in texts.items()}
        await run.report("embed", 0.2)
        with run.timed("db_s"):
            async with self._open(run.tenant, run.lease) as work:
                known = await work.vectors.reuse(version.dataset_id, version.version_id, keys, embedder.space)
                await work.commit()
        missing = [chunk for chunk in chunks if chunk.chunk_id not in known]
        run.used(Usage(cache_hits=len(chunks) - len(missing)))
        done = len(chunks) - len(missing)
        for batch in batches(missing, EMBED_BATCH):
            with run.timed("embed_s"):
                answer = await embedder.embed([[texts[chunk.chunk_id] for chunk in batch]], kind="document")
            run.used(answer.usage)
            vectors = [
                NewVector(
                    owner_type="chunk",
                    owner_id=chunk.chunk_id,
                    generation_id=version.version_id,
                    level=0,
                    content_key=keys[chunk.chunk_id],
                    vector=vector,
                )
                for chunk, vector in zip(batch, answer.vectors, strict=True)
            ]
            with run.timed("db_s"):
                async with self._open(run.tenant, run.lease) as work:
                    await work.vectors.add(version.dataset_id, embedder.space, vectors)
                    await work.commit()
            done += len(batch)
            await run.report("embed", 0.2 + 0.8 * done / len(chunks))

    async def _hand_over(self, run: JobRun, version: VersionToIndex, chunk_count: int) -> None:
        """The JOIN of an upload with its dataset: from here the build owns it, or it is served at once."""
        result = {"chunks": chunk_count, "upserted": chunk_count, "checksum": version.checksum}
        async with self._open(run.tenant, run.lease) as work:
            await work.documents.mark_embedded(version.version_id, chunk_count)
            if version.build_tree:
                revision = await work.datasets.want_tree(version.dataset_id)
                await work.jobs.await_tree(run.lease, revision, result, run.figures())
                await work.jobs.request_build(version.dataset_id)
            else:
                await work.documents.take_over([version.version_id])
                await work.jobs.succeed(run.lease, result, run.figures())
            await work.commit()


def cut(chunker: str, text: str, size: int, overlap: int) -> list[ChunkSpan]:
    """Runs in the process pool: ten megabytes of Markdown take seconds."""
    return CHUNKERS[chunker](text, size=size, overlap=overlap)


def chunks_from(version: VersionToIndex, spans: Sequence[ChunkSpan]) -> list[Chunk]:
    """Ids follow from version and position, so that a repeated attempt writes the same rows."""
    chunks = []
    for idx, span in enumerate(spans):
        text = version.text[span.start : span.end]
        chunks.append(
            Chunk(
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
        )
    return chunks
