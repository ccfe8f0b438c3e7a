"""`python -m bench.retrieval_speed [--passages 10000]`: what a question costs beside its SQL, and what HNSW finds.

Passages of the public Markdown corpora with the built-in vectors go straight into a database, without a tree. The same
questions are then asked over HTTP and of the repositories directly (the same statements on one connection), and the
index is compared with exact search, without a filter and with one that lets about 1 % of the documents through.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.container import UnitsOfWork
from app.resources import migrations_folder
from bench.corpora import Source, corpus
from bench.serving import served
from infra.db.engine import create_engine
from infra.db.migrate import Migrations, migrate
from infra.db.recall import measure_recall
from infra.db.vector_indexes import VectorIndexes
from infra.embeddings.lexical import LexicalEmbedder, lexical_vectors
from infra.postgres import EmbeddedPostgres
from interfaces_adaptor.clients.service_client import ServiceClient
from services.domain import DEFAULT_TENANT, ChunkingParams, Dataset, Filters, Scored
from services.index_document import cut
from services.ports import FloatArray
from services.postings import index_terms, indexed_text
from services.ranking.fusion import ranked
from services.retrieve import CANDIDATES, LEXICAL_DENSE_WEIGHT
from services.store import NewDocument, NewVector, NewVersion, UnitOfWork
from utils.hashing import content_key

DATASET = "speed"
QUESTIONS = 100
TOP_K = 10
NARROW = Filters(tags=("one-in-a-hundred",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--corpus", default="md-medium")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "postgres") as at:
        asyncio.run(migrate(at.url, Migrations(migrations_folder())))
        questions = asyncio.run(fill(at.url, corpus(arguments.corpus), arguments.passages))
        asyncio.run(recall(at.url, questions))
        direct = asyncio.run(directly(at.url, questions))
        settings = {"DATABASE_URL": at.url, "RAPTOR_VECTOR_INDEX_FROM": "1000"}
        with served(Path(folder), **settings) as (url, _), ServiceClient(url) as client:
            over_http = [timed(client, question) for question in [*questions[:10], *questions]][10:]
        figures("bare SQL", direct)
        figures("HTTP", over_http)
        ratio = statistics.median(over_http) / statistics.median(direct)
        print(f"HTTP over SQL: median {ratio:.2f} times, p95 {late(over_http) / late(direct):.2f} times")


def timed(client: ServiceClient, question: str) -> float:
    began = time.perf_counter()
    client.retrieve(DATASET, question, mode="leaves", top_k=TOP_K)
    return time.perf_counter() - began


async def fill(url: str, sources: Sequence[Source], passages: int) -> list[str]:
    """Questions: some consecutive words of passages of chance."""
    engine = create_engine(url)
    units = UnitsOfWork(engine)
    chance = random.Random(3)
    space = LexicalEmbedder.space
    texts: list[str] = []
    async with units(DEFAULT_TENANT) as work:
        dataset = await work.datasets.open(DATASET, space, "hnsw_cosine")
        await work.commit()
    for number, source in enumerate(sources):
        if len(texts) >= passages:
            break
        texts += await put(units, source, number)
    print(f"{len(texts)} passages of {number} documents")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # What autovacuum does within the minute; without it the planner takes every table for empty.
        await connection.execute(text("vacuum analyze"))
    await VectorIndexes(engine, from_vectors=1_000).keep(DEFAULT_TENANT, dataset)
    await engine.dispose()
    questions: list[str] = []
    while len(questions) < QUESTIONS:
        words = chance.choice(texts).split()
        start = chance.randrange(max(1, len(words) - 12))
        if index_terms(question := " ".join(words[start : start + 8])):
            questions.append(question)
    return questions


async def put(units: UnitsOfWork, source: Source, number: int) -> list[str]:
    name = f"d{number}"
    tags = NARROW.tags if number % 100 == 0 else ()
    async with units(DEFAULT_TENANT) as work:
        new = NewDocument(DATASET, name, f"id:{name}", None, None, None, tags, {}, name, source.markdown)
        await work.documents.put(new)
        version = await work.documents.add_version(
            NewVersion(DATASET, name, name, source.markdown, None, "builtin/lexical-1", ChunkingParams(), False)
        )
        stored = await work.documents.version_to_index(version)
        chunks, postings = cut(stored, None)
        texts = [indexed_text(chunk.heading_path, chunk.text) for chunk in chunks]
        await work.documents.add_chunks(stored, chunks)
        await work.postings.add(DATASET, version, postings)
        rows = zip(chunks, lexical_vectors(texts), strict=True)
        vectors = [
            NewVector("chunk", chunk.chunk_id, version, 0, content_key(str(chunk.chunk_id)), v) for chunk, v in rows
        ]
        await work.vectors.add(DATASET, LexicalEmbedder.space, vectors)
        await work.documents.mark_embedded(version, len(chunks))
        await work.documents.take_over([version])
        await work.commit()
    return texts


async def recall(url: str, questions: Sequence[str]) -> None:
    engine = create_engine(url)
    for measured in await measure_recall(engine):
        print(f"index on its own vectors, recall@10 by ef_search: {measured.by_breadth}")
    units = UnitsOfWork(engine)
    vectors = lexical_vectors(list(questions))
    for name, filters in (("no filter", Filters()), ("1 % filter", NARROW)):
        shares = []
        for vector in vectors:
            found = await nearest(units, "hnsw_cosine", vector, filters)
            true = await nearest(units, "exact", vector, filters)
            shares.append(len(found & true) / max(1, len(true)))
        print(f"recall@10 on questions, {name}: {statistics.mean(shares):.4f}")
    await engine.dispose()


async def nearest(units: UnitsOfWork, kind: Any, vector: FloatArray, filters: Filters) -> set[UUID]:
    async with units(DEFAULT_TENANT, snapshot=True) as work:
        dataset = await work.datasets.get(DATASET)
        asked = Dataset(**{name: getattr(dataset, name) for name in Dataset.__slots__} | {"vector_index": kind})
        return {one.node_id for one in await work.search.nearest(asked, vector, 10, filters)}


async def directly(url: str, questions: Sequence[str]) -> list[float]:
    """Seconds a question of all statements that a request needs, the embedding and the arithmetic left out."""
    engine = create_engine(url)
    units = UnitsOfWork(engine)
    vectors = lexical_vectors(list(questions))
    took = []
    for question, vector in [*zip(questions[:10], vectors[:10], strict=True), *zip(questions, vectors, strict=True)]:
        async with units(DEFAULT_TENANT, snapshot=True) as work:
            took.append(await statements(work, question, vector))
    await engine.dispose()
    return took[10:]


async def statements(work: UnitOfWork, question: str, vector: FloatArray) -> float:
    began = time.perf_counter()
    dataset = await work.datasets.get(DATASET)
    await work.search.embedded(DATASET)
    filters = Filters(level=(0,))
    near = [one.node_id for one in await work.search.nearest(dataset, vector, CANDIDATES, filters)]
    terms = sorted(set(index_terms(question)))
    found = await work.search.passages(dataset, vector, terms, near, CANDIDATES, filters)
    took = time.perf_counter() - began
    best: list[Scored] = ranked(found, LEXICAL_DENSE_WEIGHT, smooth=True)[:TOP_K]
    began = time.perf_counter()
    hits = await work.search.hits(dataset, best, filters)
    await work.search.paths(dataset, [hit.node_id for hit in hits])
    return took + time.perf_counter() - began


def figures(name: str, seconds: Sequence[float]) -> None:
    print(f"{name}: median {1000 * statistics.median(seconds):.1f} ms, p95 {1000 * late(seconds):.1f} ms")


def late(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.95 * (len(seconds) - 1))]


if __name__ == "__main__":
    main()
