"""A Markdown source as blocks with character offsets, each in its section.

markdown-it-py finds the blocks; it counts in lines of a text whose line ends it has normalised, we count in characters
of the stored text, which nobody normalises. Blocks tile the source: each reaches from its first line to the first line
of the next, so that no text can be in none of them, whatever the parser skips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, blockquote, table
from markdown_it.token import Token

from services.chunking.dialects import FRONT_MATTER_LINES, add_dialects
from services.chunking.titles import plain_title
from services.text.front_matter import front_matter_of

FRONT_MATTER = 0  # the section of the front matter
BYTE_ORDER_MARK = "\ufeff"
_LINE_END = re.compile(r"\r\n?|\n")
_TEXT = re.compile(r"\S")
# Before the first visible letter of a line: joined files keep their byte order marks, pages their form feeds.
_LINE_MARKS = re.compile("^[\f\ufeff\u200b\u2060]+", re.MULTILINE)
_HEADING_SPACE = re.compile("^([ \t]{0,3}#{1,6})[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]", re.MULTILINE)
# A comment that begins within a line may go on over others, but not over a blank one.
_INNER_COMMENT = re.compile(r"(?<=\S)[ \t]*<!--(?:[^\n<-]|<(?!!--)|-(?!->)|\n(?![ \t]*\n))*+-->")
_STRUCTURE_MARK = re.compile(r"(?<=\n)([ \t]*)[#=-]")
# Containers nested deeper are one block: 10,000 `>` would otherwise be 10,000 frames of recursion.
_MAX_NESTING = 24
_MOST_LAZY_LINES = 64
_LONGEST_ANCHOR = 400
_INVISIBLE_HTML = re.compile(r"(?:\s|<!--.*?-->|<a\s[^<>]*>\s*</a>|<a\s[^<>]*/>)+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """`source[start:end]`, without surrounding white space. `kind` is the parser's token type, or `anchor` for HTML
    without visible text in front of a heading; `token` is the block's place in the token list."""

    kind: str
    start: int
    end: int
    token: int
    section: int

    @property
    def is_lead(self) -> bool:
        """Whether it only announces what follows: it must not be the last thing in a chunk."""
        return self.kind == "heading" or self.kind == "anchor"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the blocks up to the next heading of any level. `depth` counts the headings above and including
    its own; `path` is their titles, those without words left out."""

    path: tuple[str, ...]
    depth: int
    parent: int


@dataclass(frozen=True, slots=True)
class MarkdownDocument:
    """`line_starts` has the offset of every line and, last, the length of the source. Section 0 is the front matter,
    section 1 what stands before the first heading; both have the empty path."""

    source: str
    tokens: Sequence[Token]
    line_starts: Sequence[int]
    blocks: Sequence[Block]
    sections: Sequence[Section]

    def children(self, parent: int) -> Iterator[int]:
        """Places of the tokens directly inside the token at `parent`, closing ones left out."""
        level = self.tokens[parent].level + 1
        for index in range(parent + 1, len(self.tokens)):
            token = self.tokens[index]
            if token.level < level:
                return
            if token.level == level and token.nesting >= 0 and token.map:
                yield index

    def line_of(self, index: int) -> int:
        """The first line of the token at `index`."""
        lines = self.tokens[index].map
        return lines[0] if lines else 0


def parse_markdown(source: str) -> MarkdownDocument:
    """Block structure of `source`: CommonMark, tables, front matter, and what `dialects.py` adds. Inline markup is not
    parsed. Link definitions are paragraphs, because they are text to us; by the book they would be in no block."""
    base = 1 if source.startswith(BYTE_ORDER_MARK) else 0
    line_starts = [base, *(match.end() for match in _LINE_END.finditer(source, base))]
    line_starts.append(len(source))
    line_starts[0] = 0
    text = _LINE_END.sub("\n", source) if "\r" in source else source
    text = text[base:]
    front_matter = front_matter_of(text)
    lines = text.count("\n", 0, front_matter.after - 1) + 1 if front_matter else 0
    tokens: list[Token] = []
    parser = _block_parser()
    parser.block.parse(_as_commonmark(text), parser, {FRONT_MATTER_LINES: lines}, tokens)
    tops = _top_level(source, tokens, line_starts)
    blocks, sections = _sectioned(source, tokens, tops)
    return MarkdownDocument(source, tokens, line_starts, blocks, sections)


def trimmed(source: str, start: int, end: int) -> tuple[int, int]:
    """The range without surrounding white space; empty, at `end`, where there is no text."""
    first = _TEXT.search(source, start, end)
    if first is None:
        return end, end
    start = first.start()
    while source[end - 1].isspace():
        end -= 1
    return start, end


def _as_commonmark(text: str) -> str:
    """Line by line the same text, where people wrote headings that CommonMark does not know, or comments that it does
    not see."""
    if "\f" in text or not text.isascii():
        text = _HEADING_SPACE.sub(r"\1 ", _LINE_MARKS.sub("", text))
    if "<!--" in text:
        text = _INNER_COMMENT.sub(lambda comment: _STRUCTURE_MARK.sub(r"\1.", comment[0]), text)
    return text


@cache
def _block_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable("table").disable("reference")
    parser.block.ruler.at("table", _table_rule, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.at("blockquote", _quote_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    add_dialects(parser)
    return parser


def _table_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A table as one token. The library's rule decides what a table is, but makes three tokens for every cell: a
    gigabyte for ten megabytes of rows."""
    body = start_line + 2
    known = len(state.tokens)
    if body > end_line or not table(state, start_line, body, silent):
        return False
    if silent:
        return True
    del state.tokens[known:]
    rules = state.md.block.ruler.getRules("blockquote")
    line = body
    while line < end_line and state.sCount[line] >= state.blkIndent and not state.isEmpty(line):
        if state.is_code_block(line) or any(rule(state, line, end_line, True) for rule in rules):
            break
        line += 1
    state.push("table", "", 0).map = [start_line, line]
    state.line = line
    return True


def _quote_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A block quote of consecutive quoted lines, with the unquoted ones that go on with its last paragraph.

    The library's rule lets quoted and unquoted lines alternate, looks at all of them to find the end, and may then
    take only the first: 36 kB of `> # a` and `b` by turns took half a minute.
    """
    if silent or not _is_quoted(state, start_line):
        return blockquote(state, start_line, end_line, silent)
    last = start_line + 1
    while last < end_line and _is_quoted(state, last):
        last += 1
    lazy_end = min(end_line, last + _MOST_LAZY_LINES)
    while last < lazy_end and not state.isEmpty(last) and not _is_quoted(state, last):
        last += 1
    line_max, state.lineMax = state.lineMax, last
    found = blockquote(state, start_line, last, False)
    state.lineMax = line_max
    return found


def _is_quoted(state: StateBlock, line: int) -> bool:
    return state.sCount[line] >= state.blkIndent and state.src.startswith(">", state.bMarks[line] + state.tShift[line])


def _top_level(source: str, tokens: Sequence[Token], line_starts: Sequence[int]) -> list[tuple[str, int, int, int]]:
    """Kind, start, end and token of every block that is in no other."""
    tops = [index for index, token in enumerate(tokens) if token.level == 0 and token.nesting >= 0 and token.map]
    firsts = [line_starts[(tokens[index].map or [0])[0]] for index in tops]
    blocks = []
    for place, index in enumerate(tops):
        start = firsts[place] if place else 0
        start, end = trimmed(source, start, firsts[place + 1] if place + 1 < len(tops) else len(source))
        if start < end:
            blocks.append((tokens[index].type.removesuffix("_open"), start, end, index))
    return blocks or _unparsed(source)


def _unparsed(source: str) -> list[tuple[str, int, int, int]]:
    """What has text but, to the parser, no block: nothing but a byte order mark."""
    start, end = trimmed(source, 0, len(source))
    return [("text", start, end, 0)] if start < end else []


def _sectioned(
    source: str, tokens: Sequence[Token], tops: Sequence[tuple[str, int, int, int]]
) -> tuple[list[Block], list[Section]]:
    blocks: list[Block] = []
    sections = [Section((), 0, 0), Section((), 0, 0)]
    above: list[tuple[int, str, int]] = []  # level, title and section of the headings that are open
    for kind, start, end, index in tops:
        section = len(sections) - 1
        if kind == "front_matter":
            section = FRONT_MATTER
        elif kind == "heading":
            level = int(tokens[index].tag[1:])
            while above and above[-1][0] >= level:
                above.pop()
            parent = above[-1][2] if above else 1
            section = len(sections)
            above.append((level, plain_title(tokens[index + 1].content), section))
            sections.append(Section(tuple(title for _, title, _ in above if title), len(above), parent))
            _take_anchors(source, blocks, section)
        blocks.append(Block(kind, start, end, index, section))
    return blocks, sections


def _take_anchors(source: str, blocks: list[Block], section: int) -> None:
    """Comments and link targets just above a heading belong to it, not to the end of the section before."""
    place = len(blocks)
    while place and is_invisible(source, blocks[place - 1]):
        place -= 1
        block = blocks[place]
        blocks[place] = Block("anchor", block.start, block.end, block.token, section)


def is_invisible(source: str, block: Block) -> bool:
    """Whether the block is HTML that shows nothing: comments, link targets."""
    return (
        block.kind in {"html_block", "paragraph"}
        and source.startswith("<", block.start)
        and block.end - block.start <= _LONGEST_ANCHOR
        and _INVISIBLE_HTML.fullmatch(source, block.start, block.end) is not None
    )
