"""A document as atoms: the blocks that fit into a chunk, the parts of those that do not, and what a cut before each of
them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.chunking import costs
from services.chunking.document import Block, MarkdownDocument
from services.chunking.splitting import Atom, Room, split_block

# Headings that leave less than this share of a chunk to their text stand alone.
_LEAST_ROOM = 1 / 8


def atoms_of(document: MarkdownDocument, size: int) -> list[Atom]:
    """Atoms in reading order, none longer than `size`; all text of the source is in exactly one of them."""
    extents = _Extents.of(document)
    atoms: list[Atom] = []
    leads: list[int] = []  # the atoms of the headings right above, each the parent of the next
    previous: Block | None = None
    for block in document.blocks:
        cost = 0.0
        if previous is not None:
            cost = _cost_before(document, extents, previous, block, size)
            leads = _leads_that_fit(atoms, leads, block, size) if cost >= costs.FORBIDDEN else []
            cost = cost if leads else min(cost, costs.TORN)
        first = atoms[leads[0]].start if leads else block.start
        if block.end - first <= size:
            atoms.append(Atom(block, block.start, block.end, cost))
        else:
            parts = split_block(document, block, Room(size - (block.start - first), size))
            atoms.append(replace(next(parts), cost=cost))
            atoms += parts
        leads = [*leads, len(atoms) - 1] if block.is_lead else []
        previous = block
    return atoms


def _leads_that_fit(atoms: list[Atom], leads: list[int], block: Block, size: int) -> list[int]:
    """The nearest of the headings above that leave room for their text; the boundary to the others becomes possible."""
    kept = leads
    while kept and block.start - atoms[kept[0]].start > size * (1 - _LEAST_ROOM):
        kept = kept[1:]
    if kept and len(kept) < len(leads):
        atoms[kept[0]] = replace(atoms[kept[0]], cost=costs.TORN)
    return kept


@dataclass(frozen=True, slots=True)
class _Extents:
    """How long each section is, alone and with the sections under it."""

    own: Sequence[int]
    whole: Sequence[int]

    @staticmethod
    def of(document: MarkdownDocument) -> _Extents:
        starts = [len(document.source)] * len(document.sections)
        ends = [0] * len(document.sections)
        for block in document.blocks:
            starts[block.section] = min(starts[block.section], block.start)
            ends[block.section] = block.end
        own = [max(0, end - start) for start, end in zip(starts, ends, strict=True)]
        for section in range(len(ends) - 1, 1, -1):
            parent = document.sections[section].parent
            starts[parent] = min(starts[parent], starts[section])
            ends[parent] = max(ends[parent], ends[section])
        return _Extents(own, [max(0, end - start) for start, end in zip(starts, ends, strict=True)])


def _cost_before(document: MarkdownDocument, extents: _Extents, previous: Block, block: Block, size: int) -> float:
    if previous.section == block.section:
        keep = costs.KEEP_SECTION if extents.own[block.section] <= size else 0.0
        return costs.before(document, previous, block) + keep
    section = document.sections[block.section]
    if previous.is_lead and section.depth > document.sections[previous.section].depth:
        return costs.FORBIDDEN
    return costs.KEEP_SUBSECTIONS if extents.whole[section.parent] <= size else 0.0
