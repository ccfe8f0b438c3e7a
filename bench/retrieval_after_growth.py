"""Retrieval from a tree that has grown by half, and from one clustered anew of the same documents.

    python -m bench.retrieval_after_growth [--set multihop …] [--stages 5] [--way tree_traversal …] [--chance]

Each scope of a benchmark is a dataset. It begins with two thirds of its text and grows to the whole in stages, each an
upload that maintenance takes in; then every question is asked in the ways that use summaries, the whole is rebuilt, and
every question is asked again. Told are the differences, rebuilt minus before, with their 95 % intervals over the
questions. Models are the built-in ones. With --chance nothing grows: the whole is clustered with two seeds, and told is
how far chance alone sets two trees apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.corpora import CorpusMissing
from bench.retrieval import METRICS, SETS, WAYS, ask, benchmark, scorer
from bench.serving import served
from interfaces_adaptor.clients.service_client import ServiceClient

FIRST, OTHER_SEED = 2 / 3, 1
ASKED = ("collapsed", "tree_traversal", "auto")

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--scopes", type=int, help="only so many scopes of a set")
    parser.add_argument("--stages", type=int, default=5)
    parser.add_argument("--way", action="append", choices=ASKED)
    parser.add_argument("--chance", action="store_true", help="two clusterings of the whole, with two seeds")
    options = parser.parse_args()
    try:
        for name in options.set or SETS:
            for figure in measured(name, options):
                print(json.dumps(figure), flush=True)
    except CorpusMissing as error:
        raise SystemExit(str(error)) from error


def measured(name: str, options: argparse.Namespace) -> Iterator[Row]:
    score = scorer()
    documents, queries = benchmark(name, options.scopes)
    shares = (
        [1.0] if options.chance else [FIRST + (1 - FIRST) * at / options.stages for at in range(options.stages + 1)]
    )
    ways = options.way or ASKED
    scopes = sorted({document["scope"] for document in documents})
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as (url, _),
        ServiceClient(url, timeout_s=600) as client,
    ):
        for scope in scopes:
            grow(client, scope, [document for document in documents if document["scope"] == scope], shares)
        yield {"set": name, "datasets": len(scopes), **state(client, scopes)}
        before = {way: ask(client, score, documents, queries, WAYS[way])[0] for way in ways}
        other = {"tree": {"seed": OTHER_SEED}} if options.chance else {}
        for scope in scopes:
            ended(client, client.rebuild(scope, full=True, **other)["job_id"])
        yield {"set": name, "after": "rebuild", **state(client, scopes)}
        for way in ways:
            yield from differences(name, way, before[way], ask(client, score, documents, queries, WAYS[way])[0])


def grow(client: ServiceClient, scope: str, documents: Sequence[Row], shares: Sequence[float]) -> None:
    there: dict[str, str] = {}
    for share in shares:
        texts = first_part(documents, share)
        upload = client.begin_upload(scope)
        for doc_id, text in texts.items():
            if there.get(doc_id) != text:
                client.add_to_upload(upload, "document.md", text.encode(), doc_id=doc_id)
        ended(client, client.commit_upload(upload)["job_id"])
        there = texts


def first_part(documents: Sequence[Row], share: float) -> dict[str, str]:
    """So much of the text of all, in their order; the last document of it is cut between two paragraphs."""
    left = round(share * sum(len(document["markdown"]) for document in documents))
    texts: dict[str, str] = {}
    for document in documents:
        whole = document["markdown"]
        cut = whole if len(whole) <= left else whole[: max(0, whole.rfind("\n\n", 0, left))]
        if cut.strip():
            texts[document["doc_id"]] = cut
        left -= len(whole)
        if left <= 0:
            break
    return texts


def ended(client: ServiceClient, job_id: str | None) -> None:
    if job_id is not None:
        job = client.wait_for(job_id)
        assert job["status"] == "succeeded", job


def state(client: ServiceClient, scopes: Sequence[str]) -> Row:
    """Passages and summaries of all; why each generation was built, and what it wrote."""
    generations = [one for scope in scopes for one in client.generations(scope)]
    live = [one for one in generations if one["state"] == "live"]
    written: Counter[str] = Counter()
    for one in generations:
        written[one["reason"]] += one["written"]
    return {
        "passages": sum(client.dataset(scope)["chunks"] for scope in scopes),
        "summaries": sum(one["summaries"] for one in live),
        "kept generations": dict(Counter(one["reason"] for one in generations)),
        "written": dict(written),
        "regret": max(client.dataset(scope)["regret"] or 0.0 for scope in scopes),
    }


def differences(name: str, way: str, before: Sequence[Row], after: Sequence[Row]) -> Iterator[Row]:
    for part, metrics in METRICS.items():
        wanted = part.partition(" ")[2]
        pairs = [
            (a, b) for a, b in zip(before, after, strict=True) if part.split()[0] == name and wanted in ("", a["type"])
        ]
        for metric in metrics if pairs else ():
            apart = [b[metric] - a[metric] for a, b in pairs]
            low, high = scorer().ci(apart)
            yield {
                "part": part,
                "way": way,
                "metric": metric,
                "questions": len(pairs),
                "before": round(statistics.mean(a[metric] for a, _ in pairs), 4),
                "rebuilt": round(statistics.mean(b[metric] for _, b in pairs), 4),
                "difference": round(statistics.mean(apart), 4),
                "interval": [round(low, 4), round(high, 4)],
            }


if __name__ == "__main__":
    main()
