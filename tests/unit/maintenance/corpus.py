"""Small sets of passages with topics, and what a tree's texts tell of, kept apart from the tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from services.clustering import Frontier, GroupingParams
from services.maintenance import LiveTree, MaintenanceParams, Shape
from tests.unit.maintenance.synchronous_tree import Maintained, Rows, clustered, frontier, maintained

DIMENSIONS = 16
Passage = tuple[str, int]  # its document, its number there


def vector(passage: Passage) -> Rows:
    """Passages of a document are alike, and every third document tells of the same topic."""
    document, number = passage
    parts = [
        np.random.default_rng(crc32(name.encode())).standard_normal(DIMENSIONS)
        for name in (f"topic {crc32(document.encode()) % 3}", document, f"{document} {number}")
    ]
    row = parts[0] + 0.7 * parts[1] + 0.7 * parts[2]
    return np.asarray(row / np.linalg.norm(row), np.float32)


def leaves(passages: Iterable[Passage], tokens: Mapping[Passage, int] | None = None) -> Frontier:
    some = sorted(passages)
    return frontier(
        np.array([vector(passage) for passage in some]),
        [f"{document}/{number}" for document, number in some],
        some,
        [(tokens or {}).get(passage, 100) for passage in some],
        [(f"section {number // 4}",) for _, number in some],
    )


def document(name: str, passages: int) -> list[Passage]:
    return [(name, number) for number in range(passages)]


def shape(grouper: str = "umap_gmm", token_budget: int = 3500, levels_cap: int | None = None) -> Shape:
    return Shape(grouper, GroupingParams(token_budget=token_budget), levels_cap)


@dataclass
class Living:
    """A tree through its history. `texts` are the leaves that each live text tells of, noted where it was written."""

    shape: Shape
    params: MaintenanceParams
    tree: LiveTree
    texts: dict[str, frozenset[str]] = field(default_factory=dict)
    last: Maintained | None = None

    @classmethod
    def of(cls, first: Frontier, shape: Shape, params: MaintenanceParams) -> Living:
        living = cls(shape, params, clustered(first, shape))
        texts = {key: frozenset({key}) for key in first.keys}
        below: Sequence[str] = first.keys
        for level in living.tree.levels:
            for key, group in zip(level.nodes.keys, level.groups, strict=True):
                texts[key] = frozenset().union(*(texts[below[member]] for member in group.members))
            below = level.nodes.keys
        living.texts = texts
        return living

    def become(self, now: Frontier) -> Maintained:
        run = maintained(self.tree, now, self.shape, self.params)
        texts = {key: frozenset({key}) for key in now.keys}
        below: Sequence[str] = now.keys
        for plan in run.plans:
            for i, (key, group) in enumerate(zip(plan.keys, plan.groups, strict=True)):
                written = frozenset().union(*(texts[below[member]] for member in group.members))
                texts[key] = written if i in plan.write else self.texts[key]
            below = plan.keys
        self.tree, self.texts, self.last = run.tree, texts, run
        return run

    def told(self) -> dict[str, frozenset[str]]:
        """What the tree itself says that its texts tell of."""
        keys = self.tree.leaves.keys
        return {
            key: frozenset(keys[i] for i in told)
            for level in self.tree.levels
            for key, told in zip(level.nodes.keys, level.told, strict=True)
        }
