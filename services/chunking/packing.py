"""Which boundaries become chunk borders: all of them are chosen together, so that the sum of costs is least.

Filling chunk after chunk greedily leaves the last piece of every section as a fragment, and cuts a section that would
have fitted had the one before ended earlier. Line breaking has the same problem and the same answer: dynamic
programming over the boundaries (Knuth and Plass, 1981). Every chunk's looseness counts, the cost of its first boundary,
and of the sections it holds together. Linear in the text: a window never holds more than a bounded number of
boundaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.chunking import costs
from services.chunking.splitting import Atom

# Where a window of `size` characters has more boundaries than this, the dearer ones of near neighbours are left out.
_DENSE = 24


def pack(
    atoms: Sequence[Atom], depths: Sequence[int], size: int, overlap_of: Callable[[int], int]
) -> list[tuple[int, int]]:
    """Chunks as ranges of atoms `[first, last)`, in order, that hold every atom once. None is longer than `size` with
    its overlap, except an atom that leaves no room for one: there the overlap has to give way.

    `depths` has the depth of each section; `overlap_of` says how many characters a chunk would reach back that begins
    with the atom at a place.
    """
    if not atoms:
        return []
    kept = _candidates(atoms, size)
    search = _CutSearch(
        size=size,
        starts=[atoms[place].start for place in kept],
        ends=[atoms[place - 1].end for place in [*kept[1:], len(atoms)]],
        costs=[atoms[place].cost for place in kept],
        sections=[atoms[place].block.section for place in kept],
        depths=depths,
        best=[0.0] + [float("inf")] * len(kept),
        came_from=[0] * (len(kept) + 1),
    )
    for first, place in enumerate(kept):
        search.extend(first, overlap_of(place))
    kept.append(len(atoms))
    return [(kept[first], kept[last]) for first, last in search.path()]


@dataclass(frozen=True, slots=True)
class _CutSearch:
    """Columns of the stretches between candidates, and what is known of them: `best[i]` is the least cost of chunks
    that hold the first `i` stretches; the last of those chunks begins with the stretch `came_from[i]`."""

    size: int
    starts: Sequence[int]
    ends: Sequence[int]
    costs: Sequence[float]
    sections: Sequence[int]
    depths: Sequence[int]
    best: list[float]
    came_from: list[int]

    def extend(self, first: int, overlap: int) -> None:
        """Tries every chunk that begins with the stretch `first`."""
        size, start, ends, sections, best = self.size, self.starts[first], self.ends, self.sections, self.best
        fragment = size * costs.FRAGMENT_SHARE
        section = sections[first]
        top, spent = self.depths[section], best[first] + self.costs[first]
        for last in range(first, len(ends)):
            if sections[last] != section:
                section = sections[last]
                spent += _bridge(top, self.depths[section])
                top = min(top, self.depths[section])
            length = ends[last] - start
            if length + overlap > size and last > first:
                return
            cost = spent + (1 - length / size) ** 2
            if length < fragment:
                cost += costs.FRAGMENT * (1 - length / fragment)
            if cost < best[last + 1]:
                best[last + 1] = cost
                self.came_from[last + 1] = first

    def path(self) -> list[tuple[int, int]]:
        chunks = []
        last = len(self.ends)
        while last > 0:
            chunks.append((self.came_from[last], last))
            last = self.came_from[last]
        return chunks[::-1]


def _bridge(top: int, depth: int) -> float:
    """Cost of going on into a section at `depth`, in a chunk whose highest section so far is at `top`."""
    if depth > top:
        return costs.WITH_PARENT
    return costs.WITH_SIBLING if depth == top else costs.WITH_STRANGER


def _candidates(atoms: Sequence[Atom], size: int) -> list[int]:
    """The atoms a chunk may begin with: all, except where they are dense."""
    nearest = size / _DENSE
    kept: list[int] = []
    for place, atom in enumerate(atoms):
        start = atoms[kept[-1]].start if kept else -size
        if atom.start - start >= nearest or atom.end - start > size or not _is_dense(atoms, place, size):
            kept.append(place)
        elif len(kept) > 1 and atom.cost < atoms[kept[-1]].cost and atom.start - atoms[kept[-2]].start <= 2 * nearest:
            kept[-1] = place
    return kept


def _is_dense(atoms: Sequence[Atom], place: int, size: int) -> bool:
    half = _DENSE // 2
    after, before = min(place + half, len(atoms) - 1), max(place - half, 0)
    return after - before == 2 * half and atoms[after].start - atoms[before].start < size
