"""Placement by reading order, for groupers that follow the documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.arrays import IntArray
from services.clustering import budget
from services.clustering.contiguous import document_windows
from services.clustering.grouping import Frontier, Group
from services.clustering.headings import section_windows
from services.clustering.windows import windows
from services.maintenance.draft import LevelDraft
from services.maintenance.prices import Prices
from services.maintenance.tree import by_group, homes, reading_ranks

CROWDED = 1.5  # windows from which on a group is cut


@dataclass(frozen=True, slots=True)
class ReadingOrder:
    """`windows` of typical length that are this long at most; `founded` cuts nodes in reading order as the grouper
    does; `label` tells where a node stands, outermost first, its document above all."""

    longest: Callable[[LevelDraft], int]
    founded: Callable[[LevelDraft, IntArray], Iterator[IntArray]]
    label: Callable[[LevelDraft, int], tuple[str, ...]]

    def place(self, draft: LevelDraft, items: Sequence[int], prices: Prices) -> None:
        """New nodes join a neighbour of their document; those of a new document are grouped as the grouper does.

        A stretch as long as a whole window becomes groups of its own, wherever it stands.
        """
        along = np.argsort(draft.below.reading)
        for stretch in _stretches(draft, along):
            documents = [draft.below.nodes.order[i][0] for i in along[stretch]]
            self._place_stretch(draft, along, stretch, documents)

    def _place_stretch(self, draft: LevelDraft, along: IntArray, stretch: slice, documents: list[str]) -> None:
        """A stretch of new nodes between two that are placed: its ends may go on with their documents."""
        nodes = along[stretch]
        before, after = _placed(along, stretch.start - 1), _placed(along, stretch.stop)
        first = _run(documents) if documents[0] in _documents(draft, before) else 0
        last = len(nodes) - (_run(documents[::-1]) if documents[-1] in _documents(draft, after) else 0)
        if first >= len(nodes) or last <= 0:
            self._join(draft, nodes, before + after)
            return
        self._join(draft, nodes[:first], before)
        self._join(draft, nodes[last:], after)
        if last - first == 1 and before + after:
            self._join(draft, nodes[first:last], before + after)
        else:
            self._found(draft, nodes[first:last])

    def _found(self, draft: LevelDraft, nodes: IntArray) -> None:
        if len(nodes):
            for part in self.founded(draft, nodes):
                draft.found(part.tolist())

    def _join(self, draft: LevelDraft, nodes: IntArray, neighbours: list[int]) -> None:
        """Nodes under the same headings stay together."""
        if len(nodes) >= max(2, self.longest(draft)):
            self._found(draft, nodes)
            return
        labels = [self.label(draft, node) for node in nodes.tolist()]
        group = {label: draft.home[self._best(draft, label, neighbours)] for label in labels}
        for node, label in zip(nodes.tolist(), labels, strict=True):
            draft.join(node, group[label])

    def _best(self, draft: LevelDraft, label: tuple[str, ...], neighbours: Sequence[int]) -> int:
        """The neighbour under the most headings in common; of two alike the one whose group is written anyway, then
        the one of the smaller group, then the one before."""
        return max(
            neighbours,
            key=lambda n: (
                _in_common(label, self.label(draft, n)),
                draft.home[n] in draft.paid,
                -len(draft.members[draft.home[n]]),
                -draft.below.reading[n],
            ),
        )

    def regroup(self, draft: LevelDraft) -> None:
        """Joins short neighbours that are written anyway, and cuts what has grown too long."""
        self._merge(draft)
        for group in draft.paid_groups():
            if len(draft.members[group]) > CROWDED * self.longest(draft):
                _keep_first(draft, group, list(self._parts(draft, group)))

    def _parts(self, draft: LevelDraft, group: str) -> Iterator[IntArray]:
        along = _along(draft, group)
        yield from windows(along, draft.below.cost, self.longest(draft), draft.budget)

    def _merge(self, draft: LevelDraft) -> None:
        longest = self.longest(draft)
        first = {g: min(draft.below.reading[i] for i in draft.members[g]) for g in draft.paid_groups()}
        chain = sorted(first, key=first.__getitem__)
        for one, two in pairwise(chain):
            if one not in draft.members or not self._mergeable(draft, one, two, longest):
                continue
            stays, goes = (one, two) if draft.is_new(two) or not draft.is_new(one) else (two, one)
            for item in draft.drop(goes):
                draft.join(item, stays)

    def _mergeable(self, draft: LevelDraft, one: str, two: str, longest: int) -> bool:
        sizes = len(draft.members[one]), len(draft.members[two])
        ends = _along(draft, one)[-1], _along(draft, two)[0]
        return (
            min(sizes) <= longest / 2
            and sum(sizes) <= longest
            and draft.tokens(one) + draft.tokens(two) <= draft.budget
            and draft.below.reading[ends[1]] - draft.below.reading[ends[0]] == 1
            and _document(draft, int(ends[0])) == _document(draft, int(ends[1]))
            and draft.parents.get(one) == draft.parents.get(two)
        )

    def regretted(self, leaves: Frontier, groups: Sequence[Group], asked: IntArray) -> NDArray[np.bool_]:
        ranks, home = reading_ranks(leaves), homes(groups, len(leaves))
        spans = [int(np.ptp(ranks[members])) + 1 - len(members) for members in by_group(home, len(groups))]
        return np.asarray(np.array(spans)[home[asked]] > 0)

    def cut(self, draft: LevelDraft, group: str) -> list[IntArray]:
        """The parts of a group that is over the token budget."""
        waiting, parts = [_along(draft, group)], []
        while waiting:
            along = waiting.pop()
            if draft.below.cost[along].sum() <= draft.budget:
                parts.append(along)
            else:
                waiting += reversed(budget.halve(along, draft.below.cost, draft.budget))
        return parts


def _contiguous(draft: LevelDraft, nodes: IntArray) -> Iterator[IntArray]:
    documents = [draft.below.nodes.order[i][0] for i in nodes]
    return document_windows(nodes, documents, draft.below.cost, draft.shape.grouping)


def _sections(draft: LevelDraft, nodes: IntArray) -> Iterator[IntArray]:
    labels = [_section(draft, i) for i in range(len(draft.below))]
    return section_windows(nodes, labels, draft.below.cost, draft.shape.grouping)


def _section(draft: LevelDraft, node: int) -> tuple[str, ...]:
    return (draft.below.nodes.order[node][0], *draft.below.nodes.paths[node])


by_document = ReadingOrder(
    longest=lambda draft: draft.shape.grouping.window,
    founded=_contiguous,
    label=lambda draft, node: (_document(draft, node),),
)
by_section = ReadingOrder(longest=lambda draft: 2 * draft.shape.grouping.window, founded=_sections, label=_section)


def _stretches(draft: LevelDraft, along: IntArray) -> list[slice]:
    """Runs of nodes without a group, in reading order."""
    lacking = np.array([int(i) not in draft.home for i in along])
    edges = np.flatnonzero(np.diff(np.r_[False, lacking, False]))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _placed(along: IntArray, place: int) -> list[int]:
    """The node beside a stretch, none at the ends of the level."""
    return [int(along[place])] if 0 <= place < len(along) else []


def _documents(draft: LevelDraft, nodes: Sequence[int]) -> list[str]:
    return [_document(draft, node) for node in nodes]


def _document(draft: LevelDraft, node: int) -> str:
    return draft.below.nodes.order[node][0]


def _run(documents: Sequence[str]) -> int:
    return next((i for i, name in enumerate(documents) if name != documents[0]), len(documents))


def _in_common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _along(draft: LevelDraft, group: str) -> IntArray:
    items = np.array(sorted(draft.members[group]), np.int64)
    return items[np.argsort(draft.below.reading[items])]


def _keep_first(draft: LevelDraft, group: str, parts: list[IntArray]) -> None:
    for part in parts[1:]:
        draft.part(group, part.tolist())
