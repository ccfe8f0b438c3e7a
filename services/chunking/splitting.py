"""A block that is larger than a chunk, cut where its kind can be cut: a list between items, a table between rows, code
between lines, prose between sentences, and what remains by LangChain's recursive splitter and between graphemes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from services.chunking import costs
from services.chunking.document import Block, MarkdownDocument, trimmed
from utils.boundaries import grapheme_floor, sentence_ends

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

_DEEPEST_INDENTATION = 40
_LONGEST_WRAPPED_LINE = 120
# Sentences shorter than this share of a chunk ("Yes.") stay with the next: no chunk would be cut between them.
_SHORTEST_SENTENCE = 1 / 32
# The recursive splitter holds every word of its text as an object: it gets windows, never a whole 12 MB line.
_WINDOW = 8192
_CLAUSE_SEPARATORS = ["\n", "|", "；", "; ", "，", "、", ", ", " "]


@dataclass(frozen=True, slots=True)
class Atom:
    """A block, or the part of one, that no chunk has to cut; `cost` is that of beginning a chunk here. It `is_torn`
    where it begins in the middle of a sentence, row or line."""

    block: Block
    start: int
    end: int
    cost: float
    is_torn: bool = False

    @property
    def is_whole(self) -> bool:
        return self.start == self.block.start and self.end == self.block.end

    @property
    def continues(self) -> bool:
        """Whether its block began before it."""
        return self.start > self.block.start


@dataclass(frozen=True, slots=True)
class Room:
    """How many characters the first atom may take, because of the heading above it, and how many any other may."""

    first: int
    size: int


def split_block(document: MarkdownDocument, block: Block, room: Room, depth: int = 0) -> Iterator[Atom]:
    """The atoms of a block, in order, none longer than the room there is for it. The first one's cost says nothing."""
    yield from _SPLITTERS.get(block.kind, _split_prose)(document, block, room, depth)


def _split_prose(document: MarkdownDocument, block: Block, room: Room, depth: int) -> Iterator[Atom]:
    """Sentences; those that are too long by clauses, words, graphemes."""
    source, limit = document.source, room.first
    least = int(room.size * _SHORTEST_SENTENCE)
    for first, last in _long_lines(source, block.start, block.end):
        ends = [*sentence_ends(source, first, last, least), last]
        for place, end in enumerate(ends):
            start, end = trimmed(source, first, end)
            if start < end:
                cost = costs.SENTENCE + (costs.ORPHAN if place in {1, len(ends) - 1} else 0)
                yield from _fitted(source, Atom(block, start, end, cost if place else costs.BLOCK), limit, room.size)
                limit = room.size
            first = end


def _long_lines(source: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A paragraph in parts that end where the writer meant a line to end: a line that long was not wrapped."""
    line = start
    while (line_end := source.find("\n", line, end)) >= 0:
        if line_end - line > _LONGEST_WRAPPED_LINE:
            yield start, line_end
            start = line_end
        line = line_end + 1
    yield start, end


def _split_container(document: MarkdownDocument, block: Block, room: Room, depth: int) -> Iterator[Atom]:
    """The blocks or items directly inside; those that are too large are split in turn."""
    children = list(document.children(block.token))
    if not children:
        yield from _split_lines(document, block, room, depth)
        return
    starts = [document.line_starts[document.line_of(child)] for child in children]
    bounds = [block.start, *starts[1:], block.end]
    base = costs.ITEM if block.kind.endswith("_list") else costs.INSIDE_ITEM
    limit = room.first
    for place, child in enumerate(children):
        start, end = trimmed(document.source, bounds[place], bounds[place + 1])
        if start >= end:
            continue
        inner = Block(document.tokens[child].type.removesuffix("_open"), start, end, child, block.section)
        cost = base + costs.DEEPER * depth + (costs.ORPHAN if place in {1, len(children) - 1} else 0)
        if end - start <= limit:
            yield Atom(inner, start, end, cost)
        else:
            atoms = split_block(document, inner, Room(limit, room.size), depth + 1)
            yield replace(next(atoms), cost=cost)
            yield from atoms
        limit = room.size


def _split_table(document: MarkdownDocument, block: Block, room: Room, depth: int) -> Iterator[Atom]:
    """Its header with the delimiter row, then row by row."""
    start, end = header_of(document, block)
    yield from _fitted(document.source, Atom(block, start, end, costs.TORN), room.first, room.size)
    first, last = document.line_of(block.token) + 2, _line_after(document, block)
    for line in range(first, last):
        start, end = _line_range(document, block, line)
        if start >= end:
            continue
        cost = costs.ROW + costs.DEEPER * depth + (costs.ORPHAN if line in {first + 1, last - 1} else 0)
        row = Atom(block, start, end, costs.TORN if line == first else cost)
        yield from _fitted(document.source, row, room.size, room.size)


def header_of(document: MarkdownDocument, table: Block) -> tuple[int, int]:
    """The range of a table's header row and delimiter row."""
    start, first = _line_range(document, table, document.line_of(table.token))
    end = _line_range(document, table, document.line_of(table.token) + 1)[1]
    return start, max(first, end)


def _split_lines(document: MarkdownDocument, block: Block, room: Room, depth: int) -> Iterator[Atom]:
    """Code, HTML, front matter: between lines, best after a blank one and where the indentation is least."""
    lines = list(_lines(document, block))
    deepest = max(indentation for _, _, indentation, _ in lines) or 1
    for place, (start, end, indentation, after_blank) in enumerate(lines):
        cost = costs.CODE_PARAGRAPH if after_blank else costs.CODE_LINE
        cost += costs.CODE_INDENTATION * indentation / deepest + costs.DEEPER * depth
        if document.source[start] in "})]>":
            cost += costs.CODE_CLOSING
        if block.kind == "fence" and (place == 1 or place == len(lines) - 1):
            cost = costs.TORN
        line = Atom(block, start, end, cost)
        yield from _fitted(document.source, line, room.size if place else room.first, room.size)


def _lines(document: MarkdownDocument, block: Block) -> Iterator[tuple[int, int, int, bool]]:
    """Start, end, indentation of every line of a block that has text, and whether a blank one stands before it."""
    after_blank = False
    for line in range(document.line_of(block.token), _line_after(document, block)):
        start, end = _line_range(document, block, line)
        if start < end:
            indentation = max(0, start - document.line_starts[line]) if start > block.start else 0
            yield start, end, min(indentation, _DEEPEST_INDENTATION), after_blank
        after_blank = start >= end


def _line_range(document: MarkdownDocument, block: Block, line: int) -> tuple[int, int]:
    """What the block has on a line, without surrounding white space; with its first line, all that is above."""
    line_starts = document.line_starts
    start = block.start if line == document.line_of(block.token) else line_starts[line]
    return trimmed(document.source, start, min(line_starts[line + 1], block.end))


def _line_after(document: MarkdownDocument, block: Block) -> int:
    """The line after the last one that has text of the block."""
    lines, line_starts = document.tokens[block.token].map, document.line_starts
    last = lines[1] if lines else 1
    while line_starts[last] < block.end:
        last += 1
    while last > 1 and line_starts[last - 1] >= block.end:
        last -= 1
    return last


def _fitted(source: str, atom: Atom, first: int, size: int) -> Iterator[Atom]:
    """The atom; in parts if it is longer than `first`: by clauses and words into pieces of a quarter of a chunk, so
    that packing can choose among them, a longer word between graphemes."""
    if atom.end - atom.start <= first:
        yield atom
        return
    for start, end in split_anywhere(source, atom.start, atom.end, max(1, min(first, size // 4))):
        if start == atom.start:
            yield replace(atom, end=end)
        else:
            yield Atom(atom.block, start, end, costs.CLAUSE, is_torn=True)


def split_anywhere(source: str, start: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `limit` characters that hold all text of `source[start:end]`, without white space around."""
    while (start := trimmed(source, start, end)[0]) < end:
        window_end = end if end - start <= _WINDOW else _window_end(source, start, start + _WINDOW)
        for part in _recursive_splitter(limit).split_text(source[start:window_end]):
            part_end = start + len(part)
            while start < part_end:
                stop = part_end
                if part_end - start > limit:
                    stop = grapheme_floor(source, start + limit, start + 1)
                first, last = trimmed(source, start, stop)
                if first < last:
                    yield first, last
                start = stop


def _window_end(source: str, start: int, limit: int) -> int:
    """The last word end in the second half of a window, or a grapheme boundary."""
    space = source.rfind(" ", (start + limit) // 2, limit)
    return space + 1 if space > 0 else grapheme_floor(source, limit, start + 1)


@cache
def _recursive_splitter(size: int) -> RecursiveCharacterTextSplitter:
    # Imported at the first use: it takes a third of a second, and most documents never need it.
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(
        chunk_size=size,
        chunk_overlap=0,
        separators=_CLAUSE_SEPARATORS,
        keep_separator="end",
        strip_whitespace=False,
    )


_Splitter = Callable[[MarkdownDocument, Block, Room, int], Iterator[Atom]]
_SPLITTERS: dict[str, _Splitter] = {
    "bullet_list": _split_container,
    "ordered_list": _split_container,
    "list_item": _split_container,
    "blockquote": _split_container,
    "admonition": _split_container,
    "dl": _split_container,
    "dd": _split_container,
    "opaque": _split_lines,
    "table": _split_table,
    "fence": _split_lines,
    "code_block": _split_lines,
    "html_block": _split_lines,
    "anchor": _split_lines,
    "front_matter": _split_lines,
}
