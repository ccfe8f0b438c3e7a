"""The tree engine against the plain library calls: CPU time of one level, growth, quality, memory.

    python -m bench.tree_engine --leaves 1000 --leaves 5000 --seeds 3 [--no-reference] [--texts] [--memory] [--json]

One JSON object a figure with --json, else a line. CPU seconds are of this process with one BLAS thread, the libraries
loaded and their code compiled beforehand; medians over data seeds. The reference is run up to --reference-up-to leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from bench.real_texts import TEXTS, RealTexts
from services.clustering import Compute, Frontier, Grouping, GroupingParams, Matrix, load_grouper
from services.clustering.canonical import unit_rows
from tests.synthetic_vectors import Planted, planted

ENGINE, REFERENCE = "umap_gmm", "umap_gmm_reference"
TOKENS = 100  # of a synthetic leaf
LARGEST_JUDGED = 20_000  # leaves, above which the vectors stay in their file and groups are only counted

Figure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    cpu_s: float
    grouping: Grouping
    quality: dict[str, float]


async def at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.memory_of:
        print(json.dumps(peak_memory(options.memory_of, options.processes)))
        return
    for figure in figures(options):
        print(
            json.dumps(figure) if options.json else "  ".join(f"{key} {value}" for key, value in figure.items()),
            flush=True,
        )


def figures(options: argparse.Namespace) -> Iterator[Figure]:
    engines = [ENGINE, REFERENCE] if options.reference else [ENGINE]
    for name in engines:
        run(name, frontier_of(planted(300).rows()))
    seconds: dict[int, float] = {}
    for leaves in options.leaves:
        names = engines if leaves <= options.reference_up_to else [ENGINE]
        runs = {name: [planted_run(name, leaves, seed) for seed in range(options.seeds)] for name in names}
        seconds[leaves] = float(np.median([run.cpu_s for run in runs[ENGINE]]))
        yield from compared({"leaves": leaves}, runs)
        if REFERENCE in names:
            yield bic_on_the_same_layout(leaves)
    yield from growth(seconds)
    if options.texts:
        yield from on_texts(engines, options.seeds)
    if options.memory:
        yield from (memory_in_a_fresh_process(leaves, options.processes) for leaves in options.leaves)


def planted_run(name: str, leaves: int, seed: int) -> Run:
    corpus = planted(leaves, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        corpus.write(path := Path(folder) / "vectors.f32")
        frontier = frontier_of(Matrix.in_file(path, (leaves, corpus.dimensions)), corpus)
        return run(name, frontier, {"subtopic": corpus.subtopics, "topic": corpus.topics})


def run(name: str, frontier: Frontier, labels: dict[str, np.ndarray[Any, Any]] | None = None) -> Run:
    grouper = load_grouper(name)
    started = time.process_time()
    grouping = asyncio.run(grouper(frontier, GroupingParams(), at_once))
    cpu_s = time.process_time() - started
    judged = labels is not None and len(frontier) <= LARGEST_JUDGED
    return Run(cpu_s, grouping, quality(frontier, grouping, labels or {}) if judged else counts(grouping))


def frontier_of(vectors: Any, corpus: Planted | RealTexts | None = None) -> Frontier:
    matrix = vectors if isinstance(vectors, Matrix) else Matrix.of(vectors)
    n = len(matrix)
    documents = np.zeros(n, np.int64) if corpus is None else corpus.documents
    return Frontier(
        vectors=matrix,
        tokens=np.full(n, TOKENS),
        keys=[f"{i:07d}" for i in range(n)],
        order=[(f"{documents[i]:06d}", i) for i in range(n)],
        paths=[()] * n,
    )


def quality(frontier: Frontier, grouping: Grouping, labels: dict[str, np.ndarray[Any, Any]]) -> dict[str, float]:
    """`cosine`: of a leaf to the mean of its group; `cosine_leave_one_out`: to that of the others in it, which is fair
    to the sizes of groups. NMI and ARI are of the primary groups with the planted labels, leaves off topic left out."""
    rows = unit_rows(frontier.vectors, np.arange(len(frontier)))
    group_of = np.empty(len(rows), np.int64)
    cosines: list[float] = []
    others: list[float] = []
    for number, group in enumerate(grouping.groups):
        members = np.array(group.members)
        primary = members[np.array(group.primary)]
        group_of[primary] = number
        total = rows[members].sum(axis=0)
        cosines += (rows[primary] @ (total / np.linalg.norm(total))).tolist()
        rest = total - rows[primary]
        others += ((rows[primary] * rest).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)).tolist()
    result = {"cosine": float(np.mean(cosines)), "cosine_leave_one_out": float(np.mean(others))}
    for label, values in labels.items():
        on = labels.get("subtopic", values) >= 0
        result[f"nmi_{label}"] = float(normalized_mutual_info_score(values[on], group_of[on]))
        result[f"ari_{label}"] = float(adjusted_rand_score(values[on], group_of[on]))
    return result | counts(grouping)


def counts(grouping: Grouping) -> dict[str, float]:
    sizes = np.array(grouping.stats.sizes)
    return {"groups": float(len(sizes)), "size_median": float(np.median(sizes)), "size_largest": float(sizes.max())}


def compared(of: Figure, runs: dict[str, list[Run]]) -> Iterator[Figure]:
    """CPU seconds and quality of each engine; a spread is from the least to the greatest of the seeds."""
    for name, own in runs.items():
        yield {"figure": "cpu_seconds", **of, "engine": name, **_spread([run.cpu_s for run in own])}
    if REFERENCE in runs:
        pairs = zip(runs[REFERENCE], runs[ENGINE], strict=True)
        ratios = [reference.cpu_s / engine.cpu_s for reference, engine in pairs]
        yield {"figure": "cpu_ratio_to_reference", **of, **_spread(ratios)}
    for measure in runs[ENGINE][0].quality:
        for name, own in runs.items():
            yield {"figure": measure, **of, "engine": name, **_spread([run.quality[measure] for run in own])}


def bic_on_the_same_layout(leaves: int) -> Figure:
    """The best BIC that each mixture search finds over one and the same layout, lower is better."""
    from sklearn.mixture import GaussianMixture

    from services.clustering.layout import layout
    from services.clustering.mixture import best_mixture
    from services.clustering.neighbours import nearest_others

    params = GroupingParams()
    corpus = planted(leaves)
    rows = unit_rows(Matrix.of(corpus.rows()), np.arange(leaves))
    neighbours = nearest_others(rows, min(int((leaves - 1) ** 0.5), 30) - 1)
    reduced = np.asarray(layout(rows, neighbours, params.dimensions, 200, params.seed), np.float64)
    started = time.process_time()
    own = best_mixture(reduced, params.min_k, params.max_k, params.seed)
    own_s = time.process_time() - started
    fits = (GaussianMixture(k, random_state=params.seed) for k in range(1, min(params.max_k, leaves - 1) + 1))
    theirs = min(float(fit.fit(reduced).bic(reduced)) for fit in fits)
    theirs_s = time.process_time() - started - own_s
    return {
        "figure": "bic_on_the_same_layout",
        "leaves": leaves,
        "value": round(own.bic, 1),
        "reference": round(theirs, 1),
        "cpu_ratio_to_reference": round(theirs_s / own_s, 1),
    }


def growth(seconds: dict[int, float]) -> Iterator[Figure]:
    least, most = min(seconds), max(seconds)
    if most > least:
        exponent = math.log(seconds[most] / seconds[least]) / math.log(most / least)
        yield {"figure": "growth_exponent", "from": least, "to": most, "value": round(exponent, 3)}


def on_texts(engines: Sequence[str], seeds: int) -> Iterator[Figure]:
    for corpus, leaves, kind in TEXTS:
        samples = [RealTexts.read(corpus, leaves, kind, seed) for seed in range(seeds)]
        known = [sample for sample in samples if sample is not None]
        if not known:
            print(f"{corpus} is not here: set RAPTOR_SHARED_DATA", file=sys.stderr)
            continue
        runs = {
            name: [run(name, frontier_of(texts.vectors, texts), {"folder": texts.folders}) for texts in known]
            for name in engines
        }
        yield from compared({"texts": corpus, "vectors": kind, "leaves": leaves}, runs)


def memory_in_a_fresh_process(leaves: int, processes: int) -> Figure:
    """A child's figure: what this process has read and compiled does not count."""
    import subprocess

    command = [sys.executable, "-m", "bench.tree_engine", "--memory-of", str(leaves), "--processes", str(processes)]
    figure: Figure = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return figure


def peak_memory(leaves: int, processes: int) -> Figure:
    """Resident memory of this process and a pool of workers at its highest, pages that they share counted in each."""
    import psutil

    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        corpus = planted(leaves)
        making = context.Process(target=corpus.write, args=(path := Path(folder) / "vectors.f32",))
        making.start()
        making.join()
        frontier = frontier_of(Matrix.in_file(path, (leaves, corpus.dimensions)), corpus)
        peak, done = [0], threading.Event()

        def watch() -> None:
            family = psutil.Process()
            while not done.wait(0.02):
                members = [family, *family.children(recursive=True)]
                peak[0] = max(peak[0], sum(_resident(member) for member in members))

        with ProcessPoolExecutor(processes, context, initializer=_warm) as pool:
            list(pool.map(abs, range(processes)))
            watcher = threading.Thread(target=watch)
            watcher.start()
            started = time.perf_counter()
            grouping = asyncio.run(load_grouper(ENGINE)(frontier, GroupingParams(), _in(pool)))
            wall_s = time.perf_counter() - started
            done.set()
            watcher.join()
    return {
        "figure": "peak_rss_mib",
        "leaves": leaves,
        "processes": processes,
        "value": peak[0] >> 20,
        "largest_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10,
        "wall_s": round(wall_s, 1),
        "seconds": {stage: round(s, 2) for stage, s in grouping.stats.seconds.items()},
    }


def _in(pool: ProcessPoolExecutor) -> Compute:
    async def compute(function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

    return compute


def _warm() -> None:
    run(ENGINE, frontier_of(planted(64, 32).rows()))


def _resident(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _spread(values: Sequence[float]) -> Figure:
    return {
        "value": round(float(np.median(values)), 4),
        "least": round(min(values), 4),
        "greatest": round(max(values), 4),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.tree_engine", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--leaves", type=int, action="append", help="size of the level; repeatable (1000, 5000)")
    parser.add_argument("--seeds", type=int, default=3, help="corpora of each size")
    parser.add_argument("--reference", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--reference-up-to", type=int, default=5000, help="leaves")
    parser.add_argument("--texts", action="store_true", help="also over the public Markdown corpora")
    parser.add_argument("--memory", action="store_true", help="also the memory of a pool, in fresh processes")
    parser.add_argument("--processes", type=int, default=2, help="of the pool, for --memory")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    options.leaves = options.leaves or [1000, 5000]
    return options


if __name__ == "__main__":
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    if any(os.environ.get(name) != value for name, value in one_thread.items()):  # read when the libraries load
        os.execve(sys.executable, [sys.executable, "-m", "bench.tree_engine", *sys.argv[1:]], os.environ | one_thread)
    main()
