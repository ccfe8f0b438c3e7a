"""How far a chunk may reach back into the one before: to the beginning of a block, item or sentence of its section."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.chunking import costs
from services.chunking.document import MarkdownDocument, trimmed
from services.chunking.splitting import Atom
from utils.boundaries import grapheme_ceiling, sentence_ends

# Less than this share of what was asked for repeats no thought, only a scrap.
_LEAST = 1 / 8
_SPACE = re.compile(r"\s+")
_CONTAINERS = frozenset({"bullet_list", "ordered_list", "blockquote"})
_REPEATED_WHOLE = _CONTAINERS | {"paragraph", "list_item", "heading", "anchor"}


def overlap_start(document: MarkdownDocument, atoms: Sequence[Atom], place: int, overlap: int) -> int:
    """The first offset of a chunk that begins with `atoms[place]` and reaches back at most `overlap` characters.

    Only prose and lists are repeated, with what stands between them: an overlap never begins in a code block or table
    or goes back into another section.
    """
    atom = atoms[place]
    floor, start = atom.start - overlap, atom.start
    for earlier in range(place - 1, -1, -1):
        before = atoms[earlier]
        if before.block.section != atom.block.section or before.end <= floor:
            break
        if before.start < floor:
            start = _start_inside(document, before, floor, start, is_torn=atom.is_torn)
            break
        if before.block.kind in _REPEATED_WHOLE:
            if not before.is_torn and before.cost < costs.ANNOUNCED:
                start = before.start
        elif not before.is_whole:
            break
    return start if atom.start - start >= overlap * _LEAST else atom.start


def _start_inside(document: MarkdownDocument, before: Atom, floor: int, start: int, *, is_torn: bool) -> int:
    """A beginning in the atom `before`, at or after `floor`; `start` where it has none."""
    source, block = document.source, before.block
    if block.kind in _CONTAINERS and before.is_whole:
        firsts = (document.line_starts[document.line_of(child)] for child in document.children(block.token))
        return min((trimmed(source, first, start)[0] for first in firsts if first >= floor), default=start)
    if block.kind != "paragraph":
        return start
    for end in sentence_ends(source, before.start, before.end):
        first = trimmed(source, end, start)[0]
        if first >= floor:
            return first
    if is_torn and start - floor > 1:
        space = _SPACE.search(source, floor, start)
        return space.end() if space else min(grapheme_ceiling(source, floor), start)
    return start
