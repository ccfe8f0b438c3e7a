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
    kept = [*_candidates(atoms, size), len(atoms)]
    search = _Search(atoms, depths, size, kept, [0.0] + [float("inf")] * (len(kept) - 1), [0] * len(kept))
    for first in range(len(kept) - 1):
        search.extend(first, overlap_of(kept[first]))
    return search.path()


@dataclass(frozen=True, slots=True)
class _Search:
    """`best[i]` is the least cost of chunks that hold the atoms before `kept[i]`; the last of them begins at
    `kept[came_from[i]]`."""

    atoms: Sequence[Atom]
    depths: Sequence[int]
    size: int
    kept: Sequence[int]
    best: list[float]
    came_from: list[int]

    def extend(self, first: int, overlap: int) -> None:
        """Tries every chunk that begins at `kept[first]`."""
        atoms, kept, size, best = self.atoms, self.kept, self.size, self.best
        atom = atoms[kept[first]]
        start, section, fragment = atom.start, atom.block.section, size * costs.FRAGMENT_SHARE
        top, spent = self.depths[section], best[first] + atom.cost
        for last in range(first + 1, len(kept)):
            length = atoms[kept[last] - 1].end - start
            if length + overlap > size and last > first + 1:
                return
            badness = (1 - length / size) ** 2
            if length < fragment:
                badness += costs.FRAGMENT * (1 - length / fragment)
            if spent + badness < best[last]:
                best[last] = spent + badness
                self.came_from[last] = first
            if last + 1 < len(kept) and atoms[kept[last]].block.section != section:
                section = atoms[kept[last]].block.section
                spent += _bridge(top, self.depths[section])
                top = min(top, self.depths[section])

    def path(self) -> list[tuple[int, int]]:
        chunks = []
        last = len(self.kept) - 1
        while last > 0:
            chunks.append((self.kept[self.came_from[last]], self.kept[last]))
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
