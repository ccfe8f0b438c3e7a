"""Vectors that are as good as equal are clustered once: copies say nothing about shape, and collapse mixtures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.arrays import FloatArray, IntArray
from services.clustering.budget import Proposal

GRID = 1e-5  # unit vectors closer than about this are one
LINES = 4  # random lines that all have to agree


class Distinct(NamedTuple):
    representatives: IntArray  # (m,) the first index of each distinct row, ascending
    of: IntArray  # (n,) place of each row's representative among them

    def cost(self, cost: IntArray) -> IntArray:
        """Tokens of each representative with all of its copies."""
        return np.bincount(self.of, weights=cost, minlength=len(self.representatives)).astype(np.int64)

    def with_copies(self, proposals: list[Proposal]) -> list[Proposal]:
        """Proposals over representatives as proposals over all rows."""
        if len(self.representatives) == len(self.of):
            return proposals
        by_representative = np.argsort(self.of, kind="stable")
        copies = np.split(by_representative, np.flatnonzero(np.diff(self.of[by_representative])) + 1)
        return [
            Proposal(
                np.concatenate([copies[i] for i in p.members]),
                np.repeat(p.weights, [len(copies[i]) for i in p.members]),
            )
            for p in proposals
        ]


def distinct_rows(rows: FloatArray) -> Distinct:
    """Which of (n, d) unit rows are distinct."""
    return distinct_places(places(rows))


def places(rows: FloatArray) -> IntArray:
    """Where unit rows fall on a few random lines (n, LINES): equal rows in equal places, others hardly ever."""
    lines = np.random.default_rng(0).standard_normal((rows.shape[1], LINES)).astype(np.float32)
    return np.asarray(np.round((rows @ lines) / GRID), np.int64)


def distinct_places(places: IntArray) -> Distinct:
    _, first, of = np.unique(places, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return Distinct(np.sort(first), rank[of.reshape(-1)])
