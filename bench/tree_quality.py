"""Retrieval from trees of `umap_gmm` beside trees of `umap_gmm_reference`: same passages, embedder and summariser.

    python -m bench.tree_quality --benchmark qmsum --benchmark squality --benchmark mdspans --benchmark multihop

Public questions with known evidence, asked of a service of its own with the built-in models. The driver and the scorer
are those of the shared folder (RAPTOR_SHARED_DATA, `bench/quality` beside it); without it there is nothing to measure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.corpora import shared_data
from bench.serving import served

ENGINES = ("umap_gmm", "umap_gmm_reference")
# What each benchmark asks for, by its README.
METRICS = {
    "mdspans": ("recall@5", "cov@750", "cov@1500"),
    "multihop": ("recall@5", "cov@1500", "chain@1500"),
    "qmsum": ("cov@400", "cov@1500", "r1@1500"),
    "squality": ("r1@400", "r1@1500"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", action="append", choices=list(METRICS))
    parser.add_argument("--scopes", type=int, help="only so many datasets of each")
    options = parser.parse_args()
    tools = shared_data().parent / "bench" / "quality"
    if not (tools / "score.py").is_file():
        raise SystemExit("The scorer is not here: set RAPTOR_SHARED_DATA to the folder `data` of the shared folder.")
    for benchmark in options.benchmark or list(METRICS):
        for figure in compared(tools, benchmark, options.scopes):
            print(json.dumps(figure), flush=True)


def compared(tools: Path, benchmark: str, scopes: int | None) -> Iterator[dict[str, Any]]:
    """Paired differences over the same questions, with their 95 % intervals."""
    with tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            answer(tools, benchmark, engine, Path(folder), scopes)
        command = [sys.executable, str(tools / "score.py"), "compare"]
        command += ["--a", f"{folder}/{ENGINES[1]}.scores", "--b", f"{folder}/{ENGINES[0]}.scores"]
        command += ["--metrics", ",".join(METRICS[benchmark])]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    yield {"figure": "retrieval", "benchmark": benchmark, "scopes": scopes or "all", "compared": told}


def answer(tools: Path, benchmark: str, engine: str, folder: Path, scopes: int | None) -> None:
    """Builds the trees, asks every question, scores the answers question by question."""
    data, home = shared_data() / benchmark, folder / engine
    home.mkdir()
    with served(home, RAPTOR_TREE_GROUPER=engine, RAPTOR_WORKER_POLL_SECONDS="0.05") as (url, _):
        drive = [sys.executable, str(tools / "http_driver.py"), "--base", url, "--data", str(data)]
        drive += ["--out", str(folder / f"{engine}.jsonl")] + (["--scopes", str(scopes)] if scopes else [])
        subprocess.run(drive, check=True)
    score = [sys.executable, str(tools / "score.py"), "run", "--queries", str(data / "queries.jsonl.gz")]
    score += ["--run", str(folder / f"{engine}.jsonl"), "--per-query", str(folder / f"{engine}.scores")]
    subprocess.run(score, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
