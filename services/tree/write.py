"""Writing one level: summaries start together, longest first; vectors are fetched in batches as they arrive.

Where a call fails for good, or the budget ends, no other is begun; those under way come in and are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import numpy as np

from services.arrays import FloatArray
from services.cost.usage import Usage
from services.domain import EmbeddingSpace
from services.errors import ConcurrentChange, RaptorError
from services.ingest.documents import NewVector
from services.models.summary import Summary, SummaryRequest
from services.storage import OpenStorage, UnitOfWork
from services.text.subjects import Section, Subject
from services.tree.growth import Growth
from services.tree.level import Level, LevelText, Positions, member_positions
from services.tree.nodes import PlannedNode
from services.tree.sections import parts_of
from utils.batching import batches
from utils.concurrency import together
from utils.hashing import content_key

# Texts of this many groups are loaded at a time: a level of a hundred thousand leaves is 120 MB of text.
LOAD_BATCH = 256
# A batch of vectors is asked for when so many summaries wait, or none is to come any more. Smaller batches would not
# end the level sooner, and cost a provider's requests a minute.
EMBED_BATCH = 64

Progress = Callable[[int], Awaitable[None]]
"""Takes the number of nodes that were finished since the last time."""


class WriteStorage(UnitOfWork, Protocol):
    """What writing a level asks of storage."""

    async def leaf_texts(self, chunk_ids: Collection[UUID]) -> dict[UUID, str]: ...

    async def known_vectors(self, keys: Collection[bytes], space: EmbeddingSpace) -> dict[bytes, FloatArray]:
        """Vectors of texts that were embedded before in this space, by content key."""
        ...

    async def add_vectors(self, dataset_id: str, space: EmbeddingSpace, vectors: Sequence[NewVector]) -> None: ...


class LevelWriter:
    """Writes one level, once: loads texts, summarises in `summarizer.concurrency` lanes, embeds, stores."""

    def __init__(
        self,
        open_storage: OpenStorage[WriteStorage],
        growth: Growth,
        below: Level,
        planned: Sequence[PlannedNode],
        progress: Progress,
    ) -> None:
        self._open = open_storage
        self._growth = growth
        self._below = below
        self._planned = planned
        self._members = member_positions(below, planned)
        self._progress = progress
        self._level = LevelText(
            summaries=[NOT_WRITTEN] * len(planned),
            vectors=np.zeros((len(planned), growth.dataset.space.dimensions), np.float32),
        )
        self._lanes = Lanes()

    async def write(self, written: Mapping[int, Summary]) -> LevelText:
        """`written` are summaries of an earlier attempt, by position: they are embedded, not written again. Raises
        what the first call that failed did."""
        began = time.monotonic()
        for position, summary in written.items():
            self._level.summaries[position] = summary
            self._lanes.arrived.put_nowait(position)
        concurrency = self._growth.summarizer.concurrency
        to_write = [position for position in range(len(self._planned)) if position not in written]
        await together(self._feed(to_write), *(self._summarize() for _ in range(concurrency)), self._embed())
        if self._lanes.failures:
            raise self._lanes.failures[0]
        self._level.timings.write_s = time.monotonic() - began
        return self._level

    async def _feed(self, positions: Sequence[int]) -> None:
        tokens = self._below.frontier.tokens
        longest_first = sorted(positions, key=lambda position: (-int(tokens[self._members[position]].sum()), position))
        try:
            for batch in batches(longest_first, LOAD_BATCH):
                requests = await self._requests(batch)
                for position, request in zip(batch, requests, strict=True):
                    await self._lanes.waiting.put((position, request))
        except RaptorError as error:
            self._lanes.fail(error)
        for _ in range(self._growth.summarizer.concurrency):
            await self._lanes.waiting.put(None)

    async def _requests(self, positions: Sequence[int]) -> list[SummaryRequest]:
        groups = [self._members[position] for position in positions]
        texts = await self._texts({int(row) for rows in groups for row in rows})
        subjects = await self._subjects(positions)
        return [
            SummaryRequest(
                texts=tuple(texts[int(row)] for row in rows),
                heading_paths=tuple(self._below.paths[row] for row in rows),
                token_budget=self._growth.params.grouping.token_budget,
                max_tokens=self._growth.params.summary_tokens,
                sources=self._sources(rows),
                subject=subjects.get(position),
            )
            for position, rows in zip(positions, groups, strict=True)
        ]

    def _sources(self, rows: Positions) -> tuple[UUID, ...]:
        """The versions whose text went into these nodes."""
        leaves = self._growth.leaves
        return tuple({leaves[position].version_id for row in rows for position in self._below.leaves[row]})

    async def _subjects(self, positions: Sequence[int]) -> Mapping[int, Subject]:
        """What those tell of that are the root, or summaries of summaries."""
        found = {
            position: parts_of([self._growth.leaves[place] for place in self._leaves_under(position)])
            for position in positions
            if self._below.number > 0 or self._planned[position].is_root
        }
        firsts = {leaf.chunk_id for parts in found.values() for leaf in [parts.first, *(p.first for p in parts.parts)]}
        openings = await self._leaf_texts(firsts) if firsts else {}
        return {
            position: Subject(
                title=parts.title or (self._growth.dataset.dataset_id if self._planned[position].is_root else ""),
                opening=openings[parts.first.chunk_id],
                sections=tuple(Section(part.title, openings[part.first.chunk_id], part.leaves) for part in parts.parts),
                is_one=parts.is_one,
            )
            for position, parts in found.items()
        }

    def _leaves_under(self, position: int) -> list[int]:
        rows = self._members[position]
        return [int(place) for place in np.unique(np.concatenate([self._below.leaves[row] for row in rows]))]

    async def _texts(self, rows: Collection[int]) -> Mapping[int, str]:
        below = self._below
        if below.text is not None:
            return {row: below.text.summaries[row].text for row in rows}
        stored = await self._leaf_texts({below.node_ids[row] for row in rows})
        return {row: stored[below.node_ids[row]] for row in rows}

    async def _leaf_texts(self, chunk_ids: Collection[UUID]) -> Mapping[UUID, str]:
        async with self._open(self._growth.run.tenant) as work:
            stored = await work.leaf_texts(chunk_ids)
        if len(stored) < len(chunk_ids):
            raise ConcurrentChange("Documents were erased while the tree was built: it begins anew without them.")
        return stored

    async def _summarize(self) -> None:
        level, lanes = self._level, self._lanes
        while (item := await lanes.waiting.get()) is not None:
            if lanes.failures:
                continue
            position, request = item
            began = time.monotonic()
            try:
                summary = await self._growth.summarizer.summarize(request)
            except RaptorError as error:
                lanes.fail(error)
                continue
            level.timings.summaries_s.append(time.monotonic() - began)
            level.timings.answered += summary.usage.calls > 0
            level.summaries[position] = summary
            level.usage += summary.usage
            lanes.arrived.put_nowait(position)

    async def _embed(self) -> None:
        async for positions in full_batches(self._lanes.arrived, len(self._planned)):
            try:
                await self._embed_batch(positions)
            except RaptorError as error:
                self._lanes.fail(error)
                return
            await self._progress(len(positions))

    async def _embed_batch(self, positions: Sequence[int]) -> None:
        level, space = self._level, self._growth.dataset.space
        keys = {
            position: content_key("embedding", space.name, level.summaries[position].text) for position in positions
        }
        async with self._open(self._growth.run.tenant) as work:
            known = await work.known_vectors(keys.values(), space)
        there = [position for position in positions if keys[position] in known]
        fresh = [position for position in positions if keys[position] not in known]
        looked_up = Usage(cache_hits=len(there), cache_misses=len(fresh))
        self._growth.run.context.meter.add(looked_up)
        level.usage += looked_up
        if fresh:
            await self._embed_fresh(fresh, keys)
        if there:
            vectors = [known[keys[position]] for position in there]
            await self._store(there, keys, vectors)
            self._level.vectors[there] = vectors

    async def _embed_fresh(self, fresh: Sequence[int], keys: Mapping[int, bytes]) -> None:
        async def arrived(first: int, rows: FloatArray) -> None:
            """Stored as they come: a batch may be several requests, of which a later one may fail."""
            self._level.timings.embeddings_s.append(time.monotonic() - began)
            await self._store(fresh[first : first + len(rows)], keys, rows)

        began = time.monotonic()
        texts = [[self._level.summaries[position].text] for position in fresh]
        answer = await self._growth.embedder.embed(texts, kind="document", arrived=arrived)
        self._level.usage += answer.usage
        self._level.vectors[fresh] = answer.vectors

    async def _store(
        self, positions: Sequence[int], keys: Mapping[int, bytes], vectors: Sequence[FloatArray] | FloatArray
    ) -> None:
        growth, number = self._growth, self._below.number + 1
        rows = [
            NewVector("tree_node", self._planned[position].node_id, growth.tree.tree_id, number, keys[position], vector)
            for position, vector in zip(positions, vectors, strict=True)
        ]
        async with self._open(growth.run.tenant, growth.run.lease) as work:
            await work.add_vectors(growth.dataset.dataset_id, growth.dataset.space, rows)
            await work.commit()


@dataclass(slots=True)
class Lanes:
    """What the lanes of one level share."""

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
