"""Sentences of a Markdown text in any script, as spans of it, each with the kind of block that it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from services.text.plain_text import as_read
from utils.boundaries import sentence_ends

Kind = Literal["prose", "item", "heading", "table", "code", "other"]
"""`other` is what no reader would quote: front matter, HTML, images, link definitions, rulers, template directives."""


class Sentence(NamedTuple):
    """`text[start:end]`, without white space at its ends and without the block's own mark (#, -, 1., >)."""

    start: int
    end: int
    kind: Kind


@dataclass(slots=True)
class _Block:
    start: int
    end: int
    kind: Kind


# Code keeps its own marks (`panic!`), and a single small letter is an abbreviation (z. B., d. h., p. ej.).
_NO_END = re.compile(r"(?:`|(?<![^\s(])[a-z]\.)\Z")
_FENCE = re.compile(r"(`{3,}|~{3,})")
_ITEM = re.compile(r"(?:[-*+•]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_HEADING = re.compile(r"#{1,6}(?:[ \t]+|$)")
_QUOTE = re.compile(r"(?:>[ \t]?)+")
_HIDDEN_HTML = re.compile(r"<(!--|style\b|script\b)(?!.*(?:-->|</style|</script))", re.IGNORECASE)
_RULER = re.compile(r"(?:[-*_][ \t]*){3,}$")
_UNDERLINE = re.compile(r"(?:=+|-+)$")
_OTHER = re.compile(
    r"<(?!https?:|[^>]*@)"  # HTML, but no autolink
    r"|(?:\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?\s*)+$"  # images alone, or as links
    r"|\[(?!\^)[^\]]+\]:\s"  # a link's definition
    r"|\[!\w+\]$|:::|///|\{\{?[#%*<]|\{\{"  # admonitions and directives of documentation generators
)
_LINKS = re.compile(r"\W*(?:\[[^\[\]]+\](?:\([^()\n]*\)|\[[^\[\]]*\])\W*)+")
_ATTRIBUTES = re.compile(r"\{[^{}]*\}$")
# A line of prose begins with a letter nearly always; only these first characters need a closer look.
_SUSPECT = frozenset("`~-*+•#>|<![:/{=_0123456789")


class ReadSentence(NamedTuple):
    """A `Sentence` with the words that its reader sees."""

    start: int
    end: int
    kind: Kind
    shown: str


def is_mere_link(markdown: str) -> bool:
    """Whether a sentence is nothing but links: an entry of a list of contents, a menu."""
    return bool(_LINKS.fullmatch(markdown))


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Spans of all sentences. Headings, list items, table rows and code lines are units of their own."""
    return [(sentence.start, sentence.end) for sentence in sentences(text)]


def sentences(text: str) -> list[Sentence]:
    """The same with the kind of each. Prose and items are split at sentence ends of any script, the rest by lines."""
    found: list[Sentence] = []
    for block in _Scanner(text).blocks():
        if block.kind not in ("prose", "item"):
            found.append(Sentence(block.start, block.end, block.kind))
            continue
        start = block.start
        for end in sentence_ends(text, block.start, block.end):
            if _NO_END.search(text, max(start, end - 4), end):
                continue
            found.append(Sentence(start, end, block.kind))
            start = end
            while start < block.end and text[start].isspace():
                start += 1
        if start < block.end:
            found.append(Sentence(start, block.end, block.kind))
    return found


def read_sentences(text: str) -> list[ReadSentence]:
    return [
        ReadSentence(start, end, kind, text[start:end] if kind in ("code", "other") else as_read(text[start:end]))
        for start, end, kind in sentences(text)
    ]


class _Scanner:
    """One pass over the lines. Paragraphs and items grow line by line; every other line is a block."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: _Block | None = None
        self._fence = ""  # the mark that ends the code, comment, style, script or front matter that we are in
        self._code_may_begin = True  # by indentation: after a blank line, and on the line after such code
        self._in_list = False
        self._in_html = False  # a line of tags has begun and goes on

    def blocks(self) -> Iterator[_Block]:
        position = 0
        if self._text.startswith(("---\n", "---\r\n")) and "\n---" in self._text[4:]:
            self._fence = "---"
            position = self._text.index("\n") + 1
        for line in self._text[position:].split("\n"):
            content = line.strip()
            if content:
                start = position + line.index(content[0])
                yield from self._line(content, start, len(line) - len(line.lstrip()))
            else:
                yield from self._close()
                self._code_may_begin = True
                self._in_html = False
            position += len(line) + 1
        yield from self._close()

    def _line(self, content: str, start: int, indent: int) -> Iterator[_Block]:
        if self._fence:
            yield from self._inside(content, start)
            return
        if self._in_html:
            self._in_html = not content.endswith(">")
            yield _Block(start, start + len(content), "other")
            return
        if indent >= 4 and self._code_may_begin and not self._in_list:
            yield _Block(start, start + len(content), "code")
            return
        self._code_may_begin = False
        if content[0] in _SUSPECT:
            yield from self._marked(content, start, indent)
        else:
            self._extend(start, start + len(content), "prose", indent)

    def _inside(self, content: str, start: int) -> Iterator[_Block]:
        """A line within a fence, a comment or front matter."""
        kind: Kind = "code" if self._fence[0] in "`~" else "other"
        if self._fence[0] not in "`~" and self._fence != "---":
            closes = self._fence in content.lower()
        else:
            closes = content.startswith(self._fence) and not content.strip(self._fence[0])
        if closes:
            self._fence, kind = "", "other"
        yield _Block(start, start + len(content), kind)

    def _marked(self, content: str, start: int, indent: int) -> Iterator[_Block]:
        """A line whose first character may be a mark of Markdown."""
        end = start + len(content)
        if self._open is not None and self._open.kind == "prose" and _UNDERLINE.match(content):
            self._open.kind = "heading"
            yield from self._close()
        elif kind := self._line_kind(content):
            yield from self._close()
            if kind == "heading":
                self._in_list = False
                title = _title(content)
                start += content.index(title, len(content) - len(content.lstrip("#")))
                end = start + len(title)
            if end > start:
                yield _Block(start, end, kind)
        elif item := _ITEM.match(content):
            yield from self._close()
            self._in_list = True
            if len(content) > item.end():
                self._open = _Block(start + item.end(), end, "item")
        elif content[0] == ">":
            yield from self._quoted(content, start, indent)
        else:
            self._extend(start, end, "prose", indent)

    def _line_kind(self, content: str) -> Kind | None:
        """The kind of a line that is a block by itself; opens fences and comments."""
        first = content[0]
        if first in "`~" and (fence := _FENCE.match(content)) and "`" not in content[fence.end() :]:
            self._fence = fence.group(1)
            return "other"
        if first == "#" and _HEADING.match(content):
            return "heading"
        if first == "|":
            return "table"
        if first in "-*_" and _RULER.match(content):
            return "other"
        if first in "<![:/{" and _OTHER.match(content):
            if hidden := _HIDDEN_HTML.match(content):
                self._fence = "-->" if hidden[1] == "!--" else f"</{hidden[1].lower()}"
            elif first == "<":
                self._in_html = not content.endswith(">")
            return "other"
        return None

    def _quoted(self, content: str, start: int, indent: int) -> Iterator[_Block]:
        mark = _QUOTE.match(content)
        inner = content[mark.end() :].lstrip() if mark else content
        at = start + len(content) - len(inner)
        if not inner:
            yield from self._close()
        elif inner[0] in _SUSPECT and inner[0] not in "`~>":
            yield from self._marked(inner, at, indent)
        else:
            self._extend(at, start + len(content), "prose", indent)

    def _extend(self, start: int, end: int, kind: Kind, indent: int) -> None:
        if self._open is not None:
            self._open.end = end
            return
        if indent == 0:
            self._in_list = False
        self._open = _Block(start, end, "item" if self._in_list else kind)

    def _close(self) -> Iterator[_Block]:
        if self._open is not None:
            yield self._open
            self._open = None


def _title(line: str) -> str:
    """The words of `# words {#anchor} ##`."""
    words = line.lstrip("#").strip()
    closed = words.rstrip("#")
    if closed != words and (not closed or closed[-1].isspace()):
        words = closed.rstrip()
    return _ATTRIBUTES.sub("", words).rstrip()
