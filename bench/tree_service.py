"""Whole builds through a running service: wall time against the floor, one more document, the first build of a process.

    python -m bench.tree_service floor --leaves 1000 --leaves 5000        calls of 0.5 s, 16 at a time
    python -m bench.tree_service added --corpus md-medium                 10 chunks more in a tree of 2,000
    python -m bench.tree_service first                                    the first build after a start, and the next
    python -m bench.tree_service whole --corpus md-large --log lines.log  everything as one dataset, and its log lines
    python -m bench.tree_service whole --leaves 100000 --log lines.log

The models of the first two are the fake provider's over HTTP, which take their time and cost nothing; the others use
the built-in ones. Leaves are made-up passages, or with --corpus the chunks of real texts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from bench.corpora import CorpusMissing, Source, corpus
from bench.passages import documents
from bench.serving import served
from fake_provider import running_fake_provider
from interfaces_adaptor.clients.service_client import ServiceClient
from services.chunking import chunk_markdown

LATENCY_S, CONCURRENCY = 0.5, 16
CHUNK, OVERLAP = 1200, 200  # the service's defaults
UPLOADERS = 4

Figure = dict[str, Any]


def main() -> None:
    options = _options()
    measure = {"floor": floor, "added": added, "first": first, "whole": whole}[options.what]
    try:
        for figure in measure(options):
            print(json.dumps(figure), flush=True)
    except CorpusMissing as error:
        raise SystemExit(str(error)) from error


def floor(options: argparse.Namespace) -> Iterator[Figure]:
    """`floor_s` is what the job reports: rounds of calls at their median latency and one call for the vectors of a
    level. `nominal_floor_s` counts each of them as the provider's own half second and nothing else."""
    for leaves in options.leaves:
        with service_with_fake_provider() as (client, process):
            send(client, "floor", sources_of(options.corpus, leaves))
            built(client, "warm", summary_llm="builtin/extractive")
            before_s = cpu_seconds(process.pid)
            job = built(client, "floor")
            cpu_s = cpu_seconds(process.pid) - before_s
            tree = client.tree("floor", limit=1)
            sizes = [level["nodes"] for level in tree["levels"] if level["level"] > 0]
            nominal_s = LATENCY_S * sum(-(-size // CONCURRENCY) + 1 for size in sizes)
            timings = job["timings"]
            yield {
                "figure": "wall_to_floor",
                "leaves": job["result"]["leaves"],
                "summaries": job["result"]["summaries"],
                "levels": sizes,
                "value": job["result"]["wall_to_floor"],
                "to_nominal_floor": round(timings["wall_s"] / nominal_s, 3),
                "nominal_floor_s": nominal_s,
                "calls": job["result"]["usage"]["calls"],
                "timings": job["result"]["timings"],
                "cpu_s": round(cpu_s, 1),
            }


def added(options: argparse.Namespace) -> Iterator[Figure]:
    """New summaries after one more document of about 10 chunks: the whole tree again, with the store of paid results
    and of vectors."""
    base = sources_of(options.corpus or "md-medium", 2000)
    others = corpus(options.corpus or "md-medium")[len(base) :]
    one = next(source for source in others if source not in base and chunks_of(source) == 10)
    with service_with_fake_provider(latency_s=0.0) as (client, _):
        send(client, "added", base)
        before = built(client, "added")["result"]
        send(client, "added", [one])
        after = built(client, "added")["result"]
    yield {
        "figure": "new_summaries_after_one_document",
        "leaves": before["leaves"],
        "added": after["leaves"] - before["leaves"],
        "summaries": after["summaries"],
        "value": after["usage"]["calls"],
        "share": round(after["usage"]["calls"] / after["summaries"], 3),
    }


def first(options: argparse.Namespace) -> Iterator[Figure]:
    """The same documents as three datasets, built one after the other by a process that has just been started; with
    the built-in summariser, so that nothing but our own work takes time."""
    sources = sources_of(options.corpus, options.leaves[0])
    names = ("first", "second", "third")
    with tempfile.TemporaryDirectory() as folder:
        with served(Path(folder)) as (url, _), ServiceClient(url, timeout_s=600) as client:
            for name in names:
                send(client, name, sources)
        for wait_s in (0.0, 10.0):
            with served(Path(folder)) as (url, _), ServiceClient(url, timeout_s=600) as client:
                time.sleep(wait_s)
                jobs = [built(client, name, tree={"seed": int(wait_s)}) for name in names]
            for name, job in zip(names, jobs, strict=True):
                yield {
                    "figure": "build_after_start",
                    "build": name,
                    "started_s_before": wait_s,
                    "leaves": job["result"]["leaves"],
                    "value": round(job["timings"]["wall_s"], 2),
                    "cluster_s": round(job["timings"]["cluster_s"], 2),
                }


def whole(options: argparse.Namespace) -> Iterator[Figure]:
    """All of a corpus as one dataset, or --leaves of made-up passages, with the built-in models."""
    sources = list(documents(options.leaves[0])) if options.leaves else corpus(options.corpus)
    settings = {"RAPTOR_LOG_LEVEL": "INFO"}
    with tempfile.TemporaryDirectory() as folder:
        with served(Path(folder), **settings) as (url, process), ServiceClient(url, timeout_s=600) as client:
            began = time.monotonic()
            send(client, "whole", sources)
            indexed_s = time.monotonic() - began
            job_id = client.rebuild("whole")["job_id"]
            peak = 0
            while client.job(job_id)["status"] in ("queued", "running"):
                peak = max(peak, python_memory(process.pid))
                time.sleep(0.5)
            job = client.job(job_id)
            assert job["status"] == "succeeded", job
            levels = [level["nodes"] for level in client.tree("whole", limit=1)["levels"]]
        if options.log:
            options.log.write_text("".join(log_lines(Path(folder) / "logs", job_id)))
    yield {
        "figure": "whole_corpus",
        "corpus": options.corpus or "passages",
        "documents": len(sources),
        "levels": levels,
        "indexed_s": round(indexed_s, 1),
        "peak_rss_mib": peak >> 20,
        "timings": job["timings"],
    }


def log_lines(folder: Path, job_id: str) -> Iterator[str]:
    """What the service wrote of one job."""
    for path in sorted(folder.glob("*.log")):
        for line in path.read_text().splitlines(keepends=True):
            if job_id.replace("-", "") in line.replace("-", ""):
                yield line


def python_memory(pid: int) -> int:
    """Resident bytes of the service's own processes; the embedded database's are not counted."""
    total = 0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss if "python" in process.name() else 0
    return total


def cpu_seconds(pid: int) -> float:
    """Used so far by the service's own processes; the embedded database's are not counted."""
    seconds = 0.0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system if "python" in process.name() else 0.0
    return seconds


def family(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


@contextmanager
def service_with_fake_provider(
    latency_s: float = LATENCY_S,
) -> Iterator[tuple[ServiceClient, subprocess.Popen[str]]]:
    with tempfile.TemporaryDirectory() as folder, running_fake_provider(latency_s=latency_s) as provider:
        settings = {
            "RAPTOR_PROVIDER_BASE_URL_OVERRIDE": provider.url,
            "RAPTOR_DEEPSEEK_API_KEY": "fake",
            "RAPTOR_DEFAULT_SUMMARY_LLM": "deepseek",
            "RAPTOR_OPENAI_API_KEY": "fake",
            "RAPTOR_DEFAULT_EMBEDDER": "openai/text-embedding-3-small",
            "RAPTOR_PROVIDER_LIMITS": json.dumps({"deepseek": {"concurrency": CONCURRENCY}}),
        }
        with served(Path(folder), **settings) as (url, process), ServiceClient(url, timeout_s=600) as client:
            send(client, "warm", list(documents(100)))
            yield client, process


def sources_of(name: str | None, leaves: int) -> list[Source]:
    """Made-up documents of so many leaves, or whole documents of a corpus until there are so many; raises
    CorpusMissing."""
    if name is None:
        return list(documents(leaves))
    chosen, total = [], 0
    for source in corpus(name):
        count = chunks_of(source)
        if count <= 60 and total < leaves:  # none that is a large part of the dataset
            chosen.append(source)
            total += count
    return chosen


def chunks_of(source: Source) -> int:
    return len(chunk_markdown(source.markdown, size=CHUNK, overlap=OVERLAP))


def send(client: ServiceClient, dataset: str, sources: Sequence[Source]) -> None:
    def upload(source: Source) -> str:
        name = source.path.replace("/", "__")[-200:]
        answer = client.ingest(dataset, name, source.markdown.encode(), source=source.path, build_tree="false")
        return str(answer["job_id"])

    with ThreadPoolExecutor(UPLOADERS) as pool:
        jobs = list(pool.map(upload, sources))
    for job_id in jobs:
        job = client.wait_for(job_id)
        assert job["status"] == "succeeded", job


def built(client: ServiceClient, dataset: str, **options: Any) -> Mapping[str, Any]:
    job = client.wait_for(client.rebuild(dataset, **options)["job_id"])
    assert job["status"] == "succeeded", job
    return job


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("floor", "added", "first", "whole"))
    parser.add_argument("--leaves", type=int, action="append", help="floor: 1000, 5000; first: 500")
    parser.add_argument("--corpus", help="md-small, md-medium, md-large; added: md-medium")
    parser.add_argument("--log", type=Path, help="whole: file for the log lines of the build")
    options = parser.parse_args()
    options.leaves = options.leaves or {"floor": [1000, 5000], "first": [500]}.get(options.what)
    if options.what == "whole" and not (options.leaves or options.corpus):
        parser.error("whole needs --corpus or --leaves")
    return options


if __name__ == "__main__":
    main()
