"""`python -m bench [--corpus md-small …] [--json]`: the service measured from outside.

- Corpora go through a service of their own over HTTP, four uploads at a time; what each part took comes from the jobs'
  own timings. `md-large` goes in without a tree.
- Writing vectors is compared with SQLAlchemy's `insert()` of the same rows into the same table.
- The idle memory of the API process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, Uuid, insert, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.resources import migrations_folder
from bench.corpora import CorpusMissing, Source, corpus
from bench.serving import served
from embedded_postgres import EmbeddedPostgres
from infra.db.engine import asyncpg_url, create_engine
from infra.db.migrate import Migrations, migrate
from interfaces_adaptor.clients.service_client import ServiceClient
from interfaces_adaptor.repositories import Storage
from services.domain import DEFAULT_TENANT, EmbeddingSpace
from services.ingest.documents import NewVector
from utils.hashing import content_key, stable_uuid

WITHOUT_TREE = {"md-large"}
UPLOADERS = 4
ROWS = 5_000
PARTS = ("chunk_s", "embed_s", "db_s", "cluster_s", "write_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", help="md-small, md-medium, md-multilingual, md-large")
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    arguments = parser.parse_args()
    for figure in measure(arguments.corpus or ["md-small", "md-medium", "md-large"]):
        print(json.dumps(figure) if arguments.json else as_line(figure), flush=True)


def measure(names: list[str]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        yield from writing(Path(folder) / "writing")
        with served(Path(folder)) as (url, process), ServiceClient(url, timeout_s=600) as client:
            time.sleep(3)
            memory = psutil.Process(process.pid).memory_info().rss
            yield {"figure": "idle_api_mb", "value": round(memory / 1e6)}
            # The first build compiles the engine; what comes after is what a service at work does.
            client.ingest("warm-up", "words.md", b"# Words\n\nA few words.\n", wait_s=None)
            for name in names:
                try:
                    sources = corpus(name)
                except CorpusMissing as error:
                    yield {"figure": "corpus", "corpus": name, "skipped": str(error)}
                    continue
                yield from through_the_service(client, name, sources)


def through_the_service(client: ServiceClient, name: str, sources: list[Source]) -> Iterator[dict[str, Any]]:
    tree = name not in WITHOUT_TREE
    began = time.monotonic()

    def upload(source: Source) -> str:
        file_name = source.path.replace("/", "__")[-200:]
        answer = client.ingest(
            name, file_name, source.markdown.encode(), source=source.path, build_tree="false", wait_s=0
        )
        return str(answer["job_id"])

    with ThreadPoolExecutor(UPLOADERS) as pool:
        jobs = list(pool.map(upload, sources))
    sent_s = time.monotonic() - began
    timings: Counter[str] = Counter()
    chunks = 0
    for job_id in jobs:
        job = client.wait_for(job_id, timeout_s=3600)
        assert job["status"] == "succeeded", job
        timings.update({part: job["timings"].get(part, 0.0) for part in PARTS})
        chunks += job["result"]["chunks"]
    indexed_s = time.monotonic() - began
    size = sum(len(source.markdown.encode()) for source in sources) / 1e6
    yield {
        "figure": "indexed",
        "corpus": name,
        "files": len(sources),
        "mb": round(size, 2),
        "chunks": chunks,
        "upload_s": round(sent_s, 1),
        "all_s": round(indexed_s, 1),
        "mb_per_s": round(size / indexed_s, 2),
        "chunks_per_s": round(chunks / indexed_s),
    }
    if tree:
        build = client.wait_for(client.rebuild(name)["job_id"], timeout_s=3600)
        assert build["status"] == "succeeded", build
        timings.update({part: build["timings"].get(part, 0.0) for part in PARTS})
        result = build["result"]
        yield {
            "figure": "tree",
            "corpus": name,
            "leaves": result["leaves"],
            "summaries": result["summaries"],
            "depth": result["depth"],
            "wall_s": round(build["timings"]["wall_s"], 1),
            "leaves_per_s": round(result["leaves"] / build["timings"]["wall_s"]),
        }
    total = sum(timings.values())
    for part in PARTS:
        if timings[part]:
            figure = {"figure": "share", "corpus": name, "part": part.removesuffix("_s")}
            rates = {"seconds": round(timings[part], 2), "share": round(timings[part] / total, 3)}
            yield (
                figure
                | rates
                | {"mb_per_s": round(size / timings[part], 2), "chunks_per_s": round(chunks / timings[part])}
            )


def writing(folder: Path) -> Iterator[dict[str, Any]]:
    with EmbeddedPostgres(folder) as address:
        asyncio.run(migrate(address.url, Migrations(migrations_folder())))
        ours, theirs = asyncio.run(write_both_ways(address.url))
    yield {
        "figure": "writing_vectors",
        "rows": ROWS,
        "ours_rows_per_s": round(ROWS / ours),
        "insert_rows_per_s": round(ROWS / theirs),
        "ratio": round(theirs / ours, 1),
    }


async def write_both_ways(url: str) -> tuple[float, float]:
    """Median seconds of three runs each, the same rows into the same table with its keys, checks and indexes: our
    repository, and SQLAlchemy's `insert()` of pgvector's own type."""
    space = EmbeddingSpace("bench", "random", 1024)
    engine = create_engine(url)
    open_storage = partial(Storage, engine)
    async with open_storage(DEFAULT_TENANT) as work:
        await work.open_dataset("bench", space, "exact")
        await work.commit()
    plain = create_async_engine(asyncpg_url(url))
    table = Table(
        "embeddings",
        MetaData(),
        *(Column(name, Text) for name in ("tenant_id", "dataset_id", "owner_type", "model")),
        *(Column(name, Uuid) for name in ("id", "owner_id", "generation_id")),
        *(Column(name, Integer) for name in ("level", "dim")),
        Column("content_key", LargeBinary),
        Column("v", VECTOR(1024)),
    )
    ours, theirs = [], []
    for run in range(3):
        rows = np.random.default_rng(run).standard_normal((ROWS, 1024)).astype(np.float32)
        ids = [stable_uuid("bench", run, i) for i in range(ROWS)]
        vectors = [
            NewVector("chunk", owner, ids[0], 0, content_key(run, i), row)
            for i, (owner, row) in enumerate(zip(ids, rows, strict=True))
        ]
        began = time.perf_counter()
        async with open_storage(DEFAULT_TENANT) as work:
            await work.add_vectors("bench", space, vectors)
            await work.commit()
        ours.append(time.perf_counter() - began)
        fixed = {"tenant_id": DEFAULT_TENANT, "dataset_id": "bench", "owner_type": "tree_node", "model": space.name}
        plain_rows = [
            fixed
            | {"id": stable_uuid("plain", run, i), "owner_id": vector.owner_id, "generation_id": vector.generation_id}
            | {"level": 0, "dim": 1024, "content_key": vector.content_key, "v": vector.vector}
            for i, vector in enumerate(vectors)
        ]
        began = time.perf_counter()
        async with plain.begin() as connection:
            await connection.execute(insert(table), plain_rows)
        theirs.append(time.perf_counter() - began)
    async with plain.connect() as connection:
        assert await connection.scalar(text("select count(*) from embeddings")) == 6 * ROWS
    await plain.dispose()
    await engine.dispose()
    return statistics.median(ours), statistics.median(theirs)


def as_line(figure: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value}" for name, value in figure.items())


if __name__ == "__main__":
    main()
