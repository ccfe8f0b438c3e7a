"""Writing one level: summaries start together, longest first; vectors are fetched in batches as they arrive.

Where a call fails for good, or the budget ends, no other is begun; those under way come in and are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from services.cost import Meter
from services.domain import EmbeddingSpace, Usage
from services.errors import RaptorError
from services.ports import Embedder, FloatArray, Summarizer, Summary, SummaryRequest
from utils.batching import batches
from utils.concurrency import together
from utils.hashing import content_key

# Texts of this many groups are loaded at a time: a level of a hundred thousand leaves is 120 MB of text.
LOAD_BATCH = 256
# A batch of vectors is asked for when so many summaries wait, or none is to come any more. Smaller batches would not
# end the level sooner, and cost a provider's requests a minute.
EMBED_BATCH = 64


@dataclass(frozen=True, slots=True)
class Prompt:
    """One node to write. `size` is the number of tokens of its texts: the longest is begun first."""

    position: int
    size: int


@dataclass(slots=True)
class LevelText:
    """What was written: summaries by position, a row of `vectors` each, and what it took."""

    summaries: list[Summary]
    vectors: FloatArray
    content_keys: list[bytes]
    usage: Usage = Usage()
    latencies_s: list[float] = field(default_factory=list)
    embed_latencies_s: list[float] = field(default_factory=list)
    answered: int = 0  # summaries for which a model was called

    def floor_s(self, concurrency: int, call_s: float | None, embed_s: float | None) -> float:
        """The least wall time at the latency of a provider's calls: rounds of calls, and one call for the last vectors.
        Without providers (None), at that of the built-in models."""
        if not self.latencies_s:
            return 0.0
        written = len(self.latencies_s) if call_s is None else self.answered
        floor = -(-written // concurrency) * (median(self.latencies_s) if call_s is None else call_s)
        if self.embed_latencies_s:
            floor += median(self.embed_latencies_s) if embed_s is None else embed_s
        return floor


Load = Callable[[Sequence[int]], Awaitable[list[SummaryRequest]]]
KnownVectors = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, FloatArray]]]
StoreVectors = Callable[[Sequence[tuple[int, bytes, FloatArray]]], Awaitable[None]]
Progress = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LevelWriter:
    """The pipeline of one level: load texts, summarise in `summarizer.concurrency` lanes, embed, store."""

    summarizer: Summarizer
    embedder: Embedder
    load: Load
    known_vectors: KnownVectors
    store_vectors: StoreVectors
    progress: Progress
    meter: Meter

    async def write(self, prompts: Sequence[Prompt], written: Mapping[int, Summary]) -> LevelText:
        """`written` are summaries of an earlier attempt, by position: they are embedded, not written again. Raises
        what the first call that failed did."""
        level = LevelText(
            summaries=[written.get(position, NOT_WRITTEN) for position in range(len(prompts))],
            vectors=np.zeros((len(prompts), self.embedder.space.dimensions), np.float32),
            content_keys=[b""] * len(prompts),
        )
        run = _Run(level)
        for position in written:
            run.arrived.put_nowait(position)
        to_write = [prompt for prompt in prompts if prompt.position not in written]
        lanes = [self._lane(run) for _ in range(self.summarizer.concurrency)]
        await together(self._feed(to_write, run), *lanes, self._embed(run))
        if run.failures:
            raise run.failures[0]
        return level

    async def _feed(self, prompts: Sequence[Prompt], run: _Run) -> None:
        longest_first = sorted(prompts, key=lambda prompt: (-prompt.size, prompt.position))
        for batch in batches([prompt.position for prompt in longest_first], LOAD_BATCH):
            for position, request in zip(batch, await self.load(batch), strict=True):
                await run.waiting.put((position, request))
        for _ in range(self.summarizer.concurrency):
            await run.waiting.put(None)

    async def _lane(self, run: _Run) -> None:
        level = run.level
        while (item := await run.waiting.get()) is not None:
            if run.failures:
                continue
            position, request = item
            began = time.monotonic()
            try:
                summary = await self.summarizer.summarize(request)
            except RaptorError as error:
                run.fail(error)
                continue
            level.latencies_s.append(time.monotonic() - began)
            level.answered += summary.usage.calls > 0
            level.summaries[position] = summary
            level.usage += summary.usage
            run.arrived.put_nowait(position)

    async def _embed(self, run: _Run) -> None:
        async for positions in full_batches(run.arrived, len(run.level.summaries)):
            try:
                await self._embed_batch(positions, run.level)
            except RaptorError as error:
                run.fail(error)
                return
            await self.progress(len(positions))

    async def _embed_batch(self, positions: Sequence[int], level: LevelText) -> None:
        keys = [summary_key(self.embedder.space, level.summaries[position]) for position in positions]
        known = await self.known_vectors(keys)
        fresh = [place for place, key in enumerate(keys) if key not in known]
        looked_up = Usage(cache_hits=len(keys) - len(fresh), cache_misses=len(fresh))
        self.meter.add(looked_up)
        level.usage += looked_up
        vectors = dict(known)
        if fresh:

            async def arrived(first: int, rows: FloatArray) -> None:
                """Stored as they come: a batch may be several requests, of which a later one may fail."""
                level.embed_latencies_s.append(time.monotonic() - began)
                places = fresh[first : first + len(rows)]
                await self.store_vectors(
                    [(positions[place], keys[place], row) for place, row in zip(places, rows, strict=True)]
                )

            began = time.monotonic()
            texts = [[level.summaries[positions[place]].text] for place in fresh]
            answer = await self.embedder.embed(texts, kind="document", arrived=arrived)
            level.usage += answer.usage
            vectors |= {keys[place]: vector for place, vector in zip(fresh, answer.vectors, strict=True)}
        for position, key in zip(positions, keys, strict=True):
            level.vectors[position] = vectors[key]
            level.content_keys[position] = key
        there = [(p, k, known[k]) for p, k in zip(positions, keys, strict=True) if k in known]
        if there:
            await self.store_vectors(there)


@dataclass(slots=True)
class _Run:
    """What the lanes of one level share."""

    level: LevelText
    waiting: asyncio.Queue[tuple[int, SummaryRequest] | None] = field(
        default_factory=lambda: asyncio.Queue(maxsize=LOAD_BATCH)
    )
    arrived: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)
    failures: list[RaptorError] = field(default_factory=list)

    def fail(self, error: RaptorError) -> None:
        self.failures.append(error)
        self.arrived.put_nowait(None)


NOT_WRITTEN = Summary(titles=(), text="", meta={}, usage=Usage())


async def full_batches(arrived: asyncio.Queue[int | None], total: int) -> AsyncIterator[list[int]]:
    """Batches of EMBED_BATCH as the positions arrive, and one of what is left when the last is there; it ends where
    None arrives."""
    seen = 0
    batch: list[int] = []
    while seen < total:
        position = await arrived.get()
        if position is None:
            return
        batch.append(position)
        seen += 1
        if len(batch) == EMBED_BATCH or seen == total:
            yield batch
            batch = []


def summary_key(space: EmbeddingSpace, summary: Summary) -> bytes:
    return content_key("embedding", space.name, summary.text)
