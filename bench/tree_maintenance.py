"""The living tree: what a change costs, how good the maintained tree stays, how fast planning is.

    python -m bench.tree_maintenance [--figure changes --figure cpu --figure growth] [--seeds 3] [--grouper umap_gmm]

Summaries are vectors near the mean of their members
(`tests/unit/maintenance/synchronous_tree.py`): no model is asked, and what is
counted are the texts that would be. Documents are generated, or real: files of public repositories with the built-in
embedder, where RAPTOR_SHARED_DATA is. A line is one figure, as JSON. CPU seconds are of planning, one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from bench.real_texts import RealTexts
from services.clustering import Frontier
from services.maintenance import LiveTree, MaintenanceParams, Shape, regret
from services.maintenance.tree import homes, unit
from tests.synthetic_vectors import planted
from tests.unit.maintenance.synchronous_tree import Maintained, Rows, clustered, frontier, maintained

Figure = dict[str, Any]
Indices = list[int]

PASSAGES = (8, 12)  # of a document that counts as one of about ten
NOTE = (1, 3)  # passages of a note
CHANGED = 0.05  # share of a passage's vector that a changed sentence replaces
TIMED = 5  # changes that a figure is the mean of


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Passages in document order."""

    name: str
    rows: Rows
    documents: np.ndarray[Any, np.dtype[np.int64]]

    def leaves(self, some: Iterable[int]) -> Frontier:
        chosen = sorted(some)
        names = [f"{self.documents[i]:06d}" for i in chosen]
        order = list(zip(names, chosen, strict=True))
        return frontier(self.rows[chosen], [f"{i:07d}" for i in chosen], order)

    def of_size(self, least: int, most: int) -> list[Indices]:
        """The documents of so many passages."""
        starts = np.flatnonzero(np.diff(self.documents, prepend=-1))
        documents = [list(part) for part in np.split(np.arange(len(self.rows)), starts[1:])]
        return [[int(i) for i in document] for document in documents if least <= len(document) <= most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", action="append", choices=list(FIGURES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--grouper", default="umap_gmm")
    parser.add_argument("--price", type=float, default=MaintenanceParams().price)
    parser.add_argument("--lag", type=float, default=MaintenanceParams().lag)
    parser.add_argument("--leaves", type=int, action="append", help="sizes for cpu and growth")
    parser.add_argument("--data", action="append", choices=["generated", "md-medium"])
    options = parser.parse_args()
    options.params = MaintenanceParams(price=options.price, lag=options.lag)
    options.shape = Shape(grouper=options.grouper)
    for name in options.figure or list(FIGURES):
        for seed in range(options.seeds):
            for figure in FIGURES[name](options, seed):
                print(json.dumps({"figure": name, "seed": seed, **figure}), flush=True)


def changes(options: argparse.Namespace, seed: int) -> Iterator[Figure]:
    """Summaries written for one change: a document of about ten passages to 2,000, a note of 300."""
    for corpus in corpora(options, 2600, seed, PASSAGES):
        documents = corpus.of_size(*PASSAGES)
        base, rest = first_passages(documents, 2000)
        tree = clustered(corpus.leaves(passages_of(base)), options.shape)
        about = {"data": corpus.name, "leaves": len(passages_of(base)), "summaries": tree.summaries}
        adds = [next_generation(options, corpus, tree, passages_of(base) + document) for document in rest[:TIMED]]
        yield about | {"change": "add a document"} | _cost(tree, adds)
        deletes = [
            next_generation(options, corpus, tree, set(passages_of(base)) - set(document))
            for document in base[:: len(base) // TIMED]
        ]
        yield about | {"change": "delete a document"} | _cost(tree, deletes)
    for corpus in corpora(options, 900, seed, NOTE):
        notes = corpus.of_size(*NOTE)[:300]
        tree = clustered(corpus.leaves(passages_of(notes)), options.shape)
        about = {
            "data": corpus.name,
            "notes": len(notes),
            "leaves": len(passages_of(notes)),
            "summaries": tree.summaries,
        }
        some = notes[:: max(1, len(notes) // (2 * TIMED))]
        deletes = [next_generation(options, corpus, tree, set(passages_of(notes)) - set(note)) for note in some]
        yield about | {"change": "delete a note"} | _cost(tree, deletes)
        changed = [_change_sentence(options, corpus, tree, passages_of(notes), note[0], seed) for note in some]
        yield about | {"change": "change a sentence"} | _cost(tree, changed)


def cpu(options: argparse.Namespace, seed: int) -> Iterator[Figure]:
    """Milliseconds of planning one added document, and of regret."""
    for size in options.leaves or (300, 2000, 5000, 20000):
        for corpus in corpora(options, size + 200, seed, PASSAGES):
            base, rest = first_passages(corpus.of_size(*PASSAGES), size)
            tree = clustered(corpus.leaves(passages_of(base)), options.shape)
            next_generation(options, corpus, tree, passages_of(base) + rest[-1])  # loads libraries
            runs = [next_generation(options, corpus, tree, passages_of(base) + document) for document in rest[:TIMED]]
            started = time.process_time()
            regret(tree.leaves, tree.levels[0].groups, options.shape)
            yield {
                "data": corpus.name,
                "leaves": len(tree.leaves),
                "cpu_ms": [round(1000 * run.cpu_s) for run in runs],
                "regret_cpu_ms": round(1000 * (time.process_time() - started)),
            }


def growth(options: argparse.Namespace, seed: int) -> Iterator[Figure]:
    """A tree maintained through 50 added documents, and through growth by half, beside one clustered anew."""
    for size in options.leaves or (1000,):
        for corpus in corpora(options, int(size * 1.5) + 700, seed, PASSAGES):
            base, rest = first_passages(corpus.of_size(*PASSAGES), size)
            tree, alive, written = clustered(corpus.leaves(passages_of(base)), options.shape), passages_of(base), 0
            yield {"data": corpus.name, "after": "clustering", **state(tree, options.shape)}
            for number, document in enumerate(rest, start=1):
                alive = alive + document
                run = next_generation(options, corpus, tree, alive)
                tree, written = run.tree, written + run.written
                grown = len(alive) >= 1.5 * len(passages_of(base))
                if number == 50 or grown:
                    fresh = clustered(corpus.leaves(alive), options.shape)
                    yield {
                        "data": corpus.name,
                        "after": f"{number} documents",
                        "leaves": len(alive),
                        "written_a_document": round(written / number, 2),
                        "maintained": state(tree, options.shape),
                        "anew": state(fresh, options.shape),
                    }
                if grown:
                    break


FIGURES = {"changes": changes, "cpu": cpu, "growth": growth}


def corpora(options: argparse.Namespace, passages: int, seed: int, document: tuple[int, int]) -> Iterator[Corpus]:
    kinds = options.data or ["generated", "md-medium"]
    if "generated" in kinds:
        made = planted(passages, seed=seed)
        rng = np.random.default_rng(seed)
        sizes = rng.integers(document[0], document[1] + 1, passages)
        yield Corpus("generated", made.rows(), np.repeat(np.arange(passages), sizes)[:passages])
    if "md-medium" in kinds:
        texts = RealTexts.read("md-medium", 6 * passages if document == NOTE else 4 * passages, "lexical", seed)
        if texts is None:
            print(json.dumps({"data": "md-medium", "skipped": "set RAPTOR_SHARED_DATA to the folder of corpora"}))
        else:
            yield _cut(Corpus("md-medium", texts.vectors, texts.documents), document)


def _cut(corpus: Corpus, document: tuple[int, int]) -> Corpus:
    """Longer files are cut into documents of the length in the middle."""
    length = sum(document) // 2
    parts: list[int] = []
    for _, passages in groupby(corpus.documents.tolist()):
        start = parts[-1] + 1 if parts else 0
        parts += [start + place // length for place in range(len(list(passages)))]
    return replace(corpus, documents=np.array(parts))


def first_passages(documents: Sequence[Indices], passages: int) -> tuple[list[Indices], list[Indices]]:
    """Documents with about so many passages in all, and the others."""
    count = int(np.searchsorted(np.cumsum([len(document) for document in documents]), passages)) + 1
    return list(documents[:count]), list(documents[count:])


def passages_of(documents: Iterable[Indices]) -> Indices:
    return [passage for document in documents for passage in document]


def next_generation(options: argparse.Namespace, corpus: Corpus, tree: LiveTree, alive: Iterable[int]) -> Maintained:
    return maintained(tree, corpus.leaves(alive), options.shape, options.params)


def reworded(row: Rows, rng: np.random.Generator) -> Rows:
    other = rng.standard_normal(len(row), np.float32)
    mixed = np.sqrt(1 - CHANGED) * row + np.sqrt(CHANGED) * other / np.linalg.norm(other)
    return np.asarray(mixed / np.linalg.norm(mixed))


def _change_sentence(
    options: argparse.Namespace, corpus: Corpus, tree: LiveTree, alive: Indices, passage: int, seed: int
) -> Maintained:
    """A passage gives way to one that says nearly the same, under another key."""
    leaves = corpus.leaves(alive)
    rows, keys = unit(leaves).copy(), list(leaves.keys)
    at = keys.index(f"{passage:07d}")
    rows[at], keys[at] = reworded(rows[at], np.random.default_rng([seed, passage])), keys[at] + "'"
    return maintained(tree, frontier(rows, keys, leaves.order), options.shape, options.params)


def _cost(tree: LiveTree, runs: Sequence[Maintained]) -> Figure:
    written = [run.written for run in runs]
    share = round(100 * float(np.mean(written)) / tree.summaries, 2)
    return {"written": written, "mean": round(float(np.mean(written)), 1), "percent_of_tree": share}


def state(tree: LiveTree, shape: Shape) -> Figure:
    return {
        "cosine": round(cosine_to_others(tree.leaves, tree.levels[0]), 4),
        "cosine_2": round(cosine_to_others(tree.levels[0].nodes, tree.levels[1]), 4) if len(tree.levels) > 1 else None,
        "levels": [len(level) for level in tree.levels],
        "regret": round(regret(tree.leaves, tree.levels[0].groups, shape), 4),
    }


def cosine_to_others(below: Frontier, level: Any) -> float:
    """The mean cosine of a node to the mean of the others in its group."""
    rows, home = unit(below), homes(level.groups, len(below))
    sums = np.zeros((len(level), rows.shape[1]), np.float32)
    np.add.at(sums, home, rows)
    others = sums[home] - rows
    cosines = (others * rows).sum(axis=1) / np.maximum(np.linalg.norm(others, axis=1), 1e-9)
    return float(cosines[np.bincount(home)[home] > 1].mean())


if __name__ == "__main__":
    main()
