"""A level in canonical order, so that groups are a function of the set of nodes and not of how they arrived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.arrays import FloatArray, IntArray
from services.clustering.grouping import Frontier, Group, Grouping, GroupingParams, GroupingStats, InvalidVector
from services.clustering.matrix import Matrix
from services.clustering.threads import one_thread
from services.compute import Compute

WeightArray = NDArray[np.float64]

BLOCK = 4096  # rows that are widened to float64 at a time: 32 MiB at 1024 dimensions


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """A group over canonical indices: members ascending, with their weights and whether each is primary here."""

    members: IntArray
    weights: WeightArray
    primary: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Canonical:
    """The nodes of a frontier sorted by key; canonical index i is frontier index `positions[i]`."""

    positions: IntArray
    reading: IntArray  # rank in reading order
    cost: IntArray  # tokens, at most the cap of one item
    truncated: tuple[str, ...]

    @classmethod
    def of(cls, frontier: Frontier, params: GroupingParams) -> Canonical:
        keys, order = frontier.keys, frontier.order
        positions = sorted(range(len(keys)), key=keys.__getitem__)
        tokens = np.maximum(np.asarray(frontier.tokens, np.int64)[positions], 0)
        by_reading = sorted(range(len(keys)), key=lambda i: (*order[positions[i]], keys[positions[i]]))
        reading = np.empty(len(keys), np.int64)
        reading[by_reading] = np.arange(len(keys))
        over = np.flatnonzero(tokens > params.item_cap)
        return cls(
            positions=np.array(positions, np.int64),
            reading=reading,
            cost=np.minimum(tokens, params.item_cap),
            truncated=tuple(keys[positions[i]] for i in over),
        )

    def __len__(self) -> int:
        return len(self.positions)

    def grouping(
        self, groups: Sequence[Members], *, best_bic: float | None = None, seconds: Mapping[str, float] | None = None
    ) -> Grouping:
        """The groups in the frontier's own indices and in reading order."""
        ranked = [np.argsort(self.reading[group.members]) for group in groups]
        ranks = [tuple(self.reading[group.members[by]].tolist()) for group, by in zip(groups, ranked, strict=True)]
        in_order = sorted(range(len(groups)), key=ranks.__getitem__)
        result = tuple(self._group(groups[g], ranked[g]) for g in in_order)
        stats = GroupingStats(
            clusters=len(result),
            sizes=tuple(len(group.members) for group in result),
            truncated=self.truncated,
            best_bic=best_bic,
            seconds=dict(seconds or {}),
        )
        return Grouping(result, stats)

    def _group(self, group: Members, by: IntArray) -> Group:
        return Group(
            members=tuple(self.positions[group.members[by]].tolist()),
            weights=tuple(np.round(group.weights[by], 6).tolist()),
            primary=tuple(group.primary[by].tolist()),
        )


async def refuse_invalid_vectors(frontier: Frontier, compute: Compute) -> None:
    """Raises InvalidVector naming the first keys whose vector is not finite or has norm zero."""
    invalid = await compute(invalid_rows, frontier.vectors)
    if len(invalid):
        keys = sorted(frontier.keys[i] for i in invalid)
        raise InvalidVector(
            f"{len(keys)} vectors are not finite or have norm zero, the first is that of {keys[0]}", keys=keys[:10]
        )


@one_thread
def invalid_rows(vectors: Matrix) -> IntArray:
    """Indices of the rows that hold NaN or infinity, or nothing but zeros."""
    invalid = [start + np.flatnonzero(~_has_direction(rows)) for start, rows in _blocks(vectors, None)]
    return np.concatenate(invalid)


@one_thread
def unit_rows(vectors: Matrix, positions: IntArray) -> FloatArray:
    """The rows at `positions`, each scaled to norm 1."""
    unit = np.empty((len(positions), vectors.shape[1]), np.float32)
    for start, rows in unit_blocks(vectors, positions):
        unit[start : start + len(rows)] = rows
    return unit


def unit_blocks(vectors: Matrix, positions: IntArray) -> Iterator[tuple[int, FloatArray]]:
    """Blocks of unit rows with the place of their first row. In float64 inside: squares of float32 overflow."""
    for start, rows in _blocks(vectors, positions):
        wide = rows.astype(np.float64)
        wide /= np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
        yield start, wide.astype(np.float32)


def _blocks(vectors: Matrix, positions: IntArray | None) -> Iterator[tuple[int, FloatArray]]:
    wanted = np.arange(len(vectors)) if positions is None else positions
    for start in range(0, len(wanted), BLOCK):
        yield start, vectors.rows(wanted[start : start + BLOCK])


def _has_direction(rows: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(rows).all(axis=1) & rows.any(axis=1))
