"""Chunks of Markdown: blocks packed under their headings, cut where a reader would cut, as spans of the source.

parse (document.py) -> atoms with the cost of a cut before each (atoms.py, costs.py, splitting.py), less what refinement
drops (edits.py) -> the cheapest cuts (packing.py) -> spans, with an overlap where a section goes on
(overlap.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any

from services.chunking.atoms import atoms_of
from services.chunking.document import FRONT_MATTER, MarkdownDocument, parse_markdown
from services.chunking.edits import NO_EDITS, Edits, edited, seen_in
from services.chunking.overlap import overlap_start
from services.chunking.packing import pack
from services.chunking.parameters import DEFAULT_OVERLAP, DEFAULT_SIZE, check_parameters
from services.chunking.splitting import Atom, header_of
from services.domain import ChunkSpan
from services.text.payload import LONGEST_COUNTED, ThinText, thin

_LONGEST_INFO = 200


def chunk_markdown(
    source: str, *, size: int = DEFAULT_SIZE, overlap: int = DEFAULT_OVERLAP, edits: Edits = NO_EDITS
) -> list[ChunkSpan]:
    """Chunks of `source` in reading order, none longer than `size` characters, overlap included; a payload that is no
    language (`services/text/payload.py`) and longer than 300 characters is never cut, and counts as one.

    Without their overlaps the spans part what `edits` leaves of the source: nothing but white space is in none of them,
    nothing in two. `meta["overlap"]` is the number of characters at the start that the chunk before has too;
    `meta["table_header"]` and `meta["fence"]` (the info string) belong to the table or code block that a chunk goes on
    with.

    Raises InvalidChunkSize for a size below 100 or an overlap that is not smaller.
    """
    check_parameters(size, overlap)
    shown = thin(source, LONGEST_COUNTED)
    spans = _spans(parse_markdown(shown.text), size, overlap, seen_in(shown, edits))
    return [_in_source(shown, span) for span in spans] if shown.spans else spans


def _in_source(shown: ThinText, span: ChunkSpan) -> ChunkSpan:
    start, core = shown.original(span.start), shown.original(span.start + span.meta.get("overlap", 0))
    meta = {**span.meta, "overlap": core - start} if start < core else span.meta
    return replace(span, start=start, end=shown.original(span.end), meta=meta)


def _spans(document: MarkdownDocument, size: int, overlap: int, edits: Edits) -> list[ChunkSpan]:
    spans: list[ChunkSpan] = []
    before = -1
    runs = edited(document.source, atoms_of(document, size), edits)
    for atoms, first, last in ((run, *cut) for run in runs for cut in packed(document, run, size, overlap)):
        core, end = atoms[first].start, atoms[last - 1].end
        # It gives way to the size, and leaves the chunk before something of its own.
        reach = min(overlap, size - (end - core), core - before - 1)
        start = overlap_start(document, atoms, first, reach)
        meta = _continuation(document, atoms[first], size) | ({"overlap": core - start} if start < core else {})
        spans.append(ChunkSpan(start, end, _heading_path(document, atoms[first:last]), meta))
        before = core
    return spans


def packed(document: MarkdownDocument, atoms: Sequence[Atom], size: int, overlap: int) -> list[tuple[int, int]]:
    """A run of atoms as chunks: ranges of places, `[first, last)`."""
    depths = [section.depth for section in document.sections]
    return pack(atoms, depths, size, partial(_reach, document, atoms, overlap))


def _reach(document: MarkdownDocument, atoms: Sequence[Atom], overlap: int, place: int) -> int:
    return atoms[place].start - overlap_start(document, atoms, place, overlap)


def _continuation(document: MarkdownDocument, atom: Atom, size: int) -> dict[str, Any]:
    """What a chunk has to say of the table or code block that it goes on with."""
    block = atom.block
    if not atom.continues:
        return {}
    if block.kind == "fence":
        return {"fence": document.tokens[block.token].info.strip()[:_LONGEST_INFO]}
    if block.kind == "table":
        start, end = header_of(document, block)
        # A header that fills a chunk helps nobody in front of the next one; its own last part needs none.
        return {"table_header": document.source[start:end]} if end - start <= size and atom.start >= end else {}
    return {}


def _heading_path(document: MarkdownDocument, atoms: Sequence[Atom]) -> tuple[str, ...]:
    """The titles that stand above all text of a chunk."""
    speaking = [atom for atom, following in zip_longest(atoms, atoms[1:]) if _has_words(document, atom, following)]
    common: tuple[str, ...] | None = None
    for atom in speaking or atoms[-1:]:
        common = _shared(common, document.sections[atom.block.section].path)
    return common or ()


def _has_words(document: MarkdownDocument, atom: Atom, following: Atom | None) -> bool:
    """Whether the atom has a say in what its chunk is about. A heading that only leads to the next one has not, nor a
    thematic break; and front matter is about the document, wherever it stands."""
    block = atom.block
    if block.kind == "hr" or block.section == FRONT_MATTER:
        return False
    depths = document.sections
    leads_on = following is not None and depths[following.block.section].depth > depths[block.section].depth
    return not (block.is_lead and leads_on)


def _shared(common: tuple[str, ...] | None, path: tuple[str, ...]) -> tuple[str, ...]:
    if common is None or common == path:
        return path
    length = 0
    while length < min(len(common), len(path)) and common[length] == path[length]:
        length += 1
    return common[:length]
