"""`python -m bench.retrieval [--set mdspans …] [--out FOLDER]`: retrieval quality through the service itself.

Each benchmark goes over HTTP into a service of its own, one dataset a scope, one tree a dataset; then every question is
asked in every way of WAYS, and the answers are scored by `shared/bench/quality/score.py`, whose README says what the
metrics mean. Without `--embedder` the service runs without a key. `--embedder URL --model NAME --dimensions N` takes
vectors from an OpenAI-compatible server, for instance all-MiniLM-L6-v2 as in the baselines.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.corpora import CorpusMissing, shared_data
from bench.serving import served
from interfaces_adaptor.clients.service_client import ServiceClient

SETS = ("mdspans", "multihop", "qmsum", "squality")
BUDGETS = (400, 750, 1500)
# Enough for the largest budget; the scorer cuts.
TOP_K, MAX_TOKENS = 100, 4_000
ASKERS = 2

# What is compared: the parts of the method taken away one by one.
WAYS: dict[str, dict[str, Any]] = {
    "flat": {"mode": "leaves", "hybrid": False},
    "leaves": {"mode": "leaves"},
    "collapsed": {"mode": "collapsed"},
    "collapsed flat": {"mode": "collapsed", "hybrid": False},
    "tree_traversal": {"mode": "tree_traversal"},
    "auto": {"mode": "auto"},
}
METRICS = {
    "mdspans": ("recall@5", "cov@400", "cov@750", "cov@1500"),
    "multihop": ("recall@5", "cov@400", "cov@750", "cov@1500"),
    "qmsum specific": ("cov@400", "cov@750", "cov@1500", "r1@1500"),
    "qmsum whole_document": ("r1@400", "r1@750", "r1@1500", "deciles@1500"),
    "squality broad": ("r1@400", "r1@750", "r1@1500", "deciles@1500"),
    "squality whole_document": ("r1@400", "r1@750", "r1@1500", "deciles@1500"),
}

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--way", action="append", choices=tuple(WAYS))
    parser.add_argument("--scopes", type=int, help="only so many scopes of a set")
    parser.add_argument("--out", type=Path, help="keep a score a question here, for paired comparisons")
    parser.add_argument("--embedder", help="base URL of an OpenAI-compatible server")
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--chunk-size", type=int, default=1200)
    parser.add_argument("--overlap", type=int, default=200)
    arguments = parser.parse_args()
    environment = {
        "RAPTOR_CHUNK_SIZE": str(arguments.chunk_size),
        "RAPTOR_CHUNK_OVERLAP": str(arguments.overlap),
    }
    if arguments.embedder:
        environment |= {
            "RAPTOR_PROVIDER_BASE_URLS": json.dumps({"bench": arguments.embedder}),
            "RAPTOR_ALLOW_PRIVATE_PROVIDERS": "true",
            "RAPTOR_DEFAULT_EMBEDDER": f"bench/{arguments.model}",
        }
    score = scorer()
    ways = {name: WAYS[name] for name in arguments.way or WAYS}
    for name in arguments.set or SETS:
        with (
            tempfile.TemporaryDirectory() as folder,
            served(Path(folder), **environment) as (url, _),
            ServiceClient(url, timeout_s=600) as client,
        ):
            documents, queries = benchmark(name, arguments.scopes)
            began = time.monotonic()
            put_in(client, documents)
            print(
                f"{name}: {len(documents)} documents with their trees in {time.monotonic() - began:.0f} s", flush=True
            )
            for way, options in ways.items():
                scored, took = ask(client, score, documents, queries, options)
                report(name, way, scored, took)
                if arguments.out:
                    arguments.out.mkdir(parents=True, exist_ok=True)
                    lines = [json.dumps(row) for row in scored]
                    (arguments.out / f"{name}-{way.replace(' ', '-')}.jsonl").write_text("\n".join(lines) + "\n")


def scorer() -> ModuleType:
    """Raises CorpusMissing."""
    path = shared_data().parent / "bench" / "quality" / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CorpusMissing("bench/quality/score.py is not beside the shared data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def benchmark(name: str, scopes: int | None) -> tuple[list[Row], list[Row]]:
    """Documents and questions. Raises CorpusMissing."""
    folder = shared_data() / name
    if not (folder / "docs.jsonl.gz").is_file():
        raise CorpusMissing(f"{name} is not here: set RAPTOR_SHARED_DATA to the folder that holds it")
    documents, queries = (
        [json.loads(line) for line in gzip.decompress((folder / f"{part}.jsonl.gz").read_bytes()).splitlines()]
        for part in ("docs", "queries")
    )
    kept = set(sorted({document["scope"] for document in documents})[:scopes])
    return [d for d in documents if d["scope"] in kept], [q for q in queries if q["scope"] in kept]


def put_in(client: ServiceClient, documents: list[Row]) -> None:
    """All documents without a tree, then one build a dataset."""

    def upload(document: Row) -> str:
        text = document["markdown"].encode()
        name = f"{document['doc_id']}.md"
        answer = client.ingest(document["scope"], name, text, doc_id=document["doc_id"], build_tree="false")
        return str(answer["job_id"])

    with ThreadPoolExecutor(ASKERS) as pool:
        jobs = list(pool.map(upload, documents))
    ended = [client.wait_for(job, timeout_s=3600) for job in jobs]
    for dataset in sorted({document["scope"] for document in documents}):
        ended.append(client.wait_for(client.rebuild(dataset)["job_id"], timeout_s=3600))
    assert all(job["status"] == "succeeded" for job in ended), [job for job in ended if job["status"] != "succeeded"]


def ask(
    client: ServiceClient, score: ModuleType, documents: list[Row], queries: list[Row], options: dict[str, Any]
) -> tuple[list[Row], list[float]]:
    """A scored row a question, and seconds a request."""
    texts: dict[str, str] = defaultdict(str)
    for document in documents:
        texts[document["scope"]] += document["markdown"]

    def one(query: Row) -> tuple[Row, float]:
        began = time.perf_counter()
        found = client.retrieve(query["scope"], query["query"], top_k=TOP_K, max_tokens=MAX_TOKENS, **options)
        took = time.perf_counter() - began
        items = [{"text": hit["text"]} for hit in found["results"]]
        words = score.words(texts[query["scope"]]) if query["references"] else None
        figures = score.score_query(query, items, words, BUDGETS)
        return {"query_id": query["query_id"], "type": query["type"], "mode": found["mode"], **figures}, took

    with ThreadPoolExecutor(ASKERS) as pool:
        rows, times = zip(*pool.map(one, queries), strict=True)
    return list(rows), list(times)


def report(name: str, way: str, rows: list[Row], took: list[float]) -> None:
    for part, metrics in METRICS.items():
        if part.split()[0] != name:
            continue
        wanted = part.partition(" ")[2]
        here = [row for row in rows if not wanted or row["type"] == wanted]
        figures = "  ".join(f"{metric} {statistics.mean(row[metric] for row in here):.3f}" for metric in metrics)
        print(f"{part:24} {way:16} n {len(here):3}  {figures}", flush=True)
    milliseconds = sorted(1000 * seconds for seconds in took)
    at = milliseconds[int(0.95 * (len(milliseconds) - 1))]
    print(f"{name:24} {way:16} median {statistics.median(milliseconds):.0f} ms, p95 {at:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
