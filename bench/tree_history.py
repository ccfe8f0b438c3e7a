"""A history of a folder of real notes, and its picture: 200 changes, kept up by maintenance and by a rebuild each.

    python -m bench.tree_history [--csv history.csv] [--svg docs/tree-history.svg] [--documents notes|pages]

Half of the changes add a document, three of ten change a passage, two of ten delete a document. Maintenance does what
the service does: where regret has passed its bound, or the tree has doubled, the whole is clustered after the change,
and that is counted too. A rebuild writes the summaries whose members no rebuild before had together: the store of paid
results keeps the others. Texts are counted, none is written (`bench/tree_maintenance.py` says how).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.history_plot import plot
from bench.tree_maintenance import (
    NOTE,
    PASSAGES,
    Corpus,
    Figure,
    Indices,
    corpora,
    first_passages,
    next_generation,
    passages_of,
    reworded,
    state,
)
from services.maintenance import LiveTree, MaintenanceParams, Shape, clustering_due, regret, violations
from tests.unit.maintenance.synchronous_tree import Maintained, clustered

# Kind of document: passages of one, and passages that the history begins with.
DOCUMENTS = {"notes": (NOTE, 600), "pages": (PASSAGES, 800)}
KINDS, SHARES = ("add", "change", "delete"), (0.5, 0.3, 0.2)


@dataclass(slots=True)
class Folder:
    """What is in it, and what may still be added."""

    corpus: Corpus
    documents: list[Indices]
    others: list[Indices]
    chance: np.random.Generator

    def change(self) -> str:
        kind = str(self.chance.choice(KINDS, p=SHARES))
        if kind == "add":
            self.documents.append(self.others.pop(0))
        elif kind == "delete":
            self.documents.pop(int(self.chance.integers(len(self.documents))))
        else:
            self._reword()
        return kind

    def _reword(self) -> None:
        """The passage goes, its new wording comes at the end of the corpus."""
        document = self.documents[int(self.chance.integers(len(self.documents)))]
        place = int(self.chance.integers(len(document)))
        corpus, passage = self.corpus, document[place]
        rows = np.concatenate([corpus.rows, reworded(corpus.rows[passage], self.chance)[None]])
        home = corpus.documents[passage]
        self.corpus = replace(corpus, rows=rows, documents=np.r_[corpus.documents, home])
        document[place] = len(rows) - 1


class Clusterings:
    """Of the whole, one after another: what each had to write that none before it had written."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._known: set[str] = set()

    def of(self, folder: Folder) -> tuple[LiveTree, int]:
        tree = clustered(folder.corpus.leaves(passages_of(folder.documents)), self._shape)
        keys = {key for level in tree.levels for key in level.nodes.keys}
        new = len(keys - self._known)
        self._known |= keys
        return tree, new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="md-medium", choices=["generated", "md-medium"])
    parser.add_argument("--documents", default="notes", choices=list(DOCUMENTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--grouper", default="umap_gmm")
    parser.add_argument("--csv", type=Path, help="a row a change goes here")
    parser.add_argument("--svg", type=Path, help="the picture goes here")
    options = parser.parse_args()
    options.params, options.shape = MaintenanceParams(), Shape(grouper=options.grouper)
    document, passages = DOCUMENTS[options.documents]
    spare = 2 * options.steps * document[1]
    sources = argparse.Namespace(data=[options.data])
    for corpus in corpora(sources, passages + spare, options.seed, document):
        documents, others = first_passages(corpus.of_size(*document), passages)
        folder = Folder(corpus, documents, others, np.random.default_rng(options.seed))
        before = len(folder.documents)
        rows, tree = history(options, folder)
        print(json.dumps({"documents": before, **summary(rows), "maintained": state(tree, options.shape)}))
        if options.csv:
            write_rows(options.csv, rows)
        if options.svg:
            options.svg.write_text(plot(rows, bound=options.params.regret), encoding="utf-8")


def history(options: argparse.Namespace, folder: Folder) -> tuple[list[Figure], LiveTree]:
    rebuilds, repairs = Clusterings(options.shape), Clusterings(options.shape)
    rebuilds.of(folder)
    tree, _ = repairs.of(folder)
    rows: list[Figure] = []
    for number in range(1, options.steps + 1):
        kind = folder.change()
        run = next_generation(options, folder.corpus, tree, passages_of(folder.documents))
        assert not violations(run.tree, options.shape, options.params)
        fresh, rebuilt = rebuilds.of(folder)
        row = row_of(number, kind, run, options.shape) | {"rebuilt": rebuilt, "rebuilt_tree": fresh.summaries}
        tree, changed = run.tree, len(set(run.tree.leaves.keys) ^ set(tree.leaves.keys))
        due = clustering_due(tree, options.params, row["regret"] + tree.yardstick.regret, changed)
        if due is not None:
            tree, row["clustered"] = repairs.of(folder)
        rows.append(row)
    return rows, tree


def row_of(number: int, kind: str, run: Maintained, shape: Shape) -> Figure:
    tree = run.tree
    return {
        "change": number,
        "kind": kind,
        "leaves": len(tree.leaves),
        "summaries": tree.summaries,
        "written": run.written,
        "clustered": 0,
        "cpu_ms": round(1000 * run.cpu_s, 1),
        "regret": round(regret(tree.leaves, tree.levels[0].groups, shape) - tree.yardstick.regret, 4),
    }


def summary(rows: Sequence[Figure]) -> Figure:
    return {
        "changes": len(rows),
        "leaves": [rows[0]["leaves"], rows[-1]["leaves"]],
        "written": sum(row["written"] for row in rows),
        "clusterings": sum(row["clustered"] > 0 for row in rows),
        "clustered": sum(row["clustered"] for row in rows),
        "rebuilt": sum(row["rebuilt"] for row in rows),
        "rebuilt_without_store": sum(row["rebuilt_tree"] for row in rows),
        "most_regret": max(row["regret"] for row in rows),
        "median_written": {
            kind: float(np.median([row["written"] for row in rows if row["kind"] == kind] or [0])) for kind in KINDS
        },
        "median_cpu_ms": float(np.median([row["cpu_ms"] for row in rows])),
    }


def write_rows(path: Path, rows: Sequence[Figure]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
