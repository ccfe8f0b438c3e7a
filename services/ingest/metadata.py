"""What a Markdown document says about itself: title, tags, aliases, and the fields of its front matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from services.chunking.document import MarkdownDocument, parse_markdown
from services.chunking.titles import MAX_TITLE, plain_title
from services.ingest.reader import SourceText
from services.text.front_matter import FrontMatter, Unreadable, fields_of, front_matter_of
from services.text.words import fold

# How far a text is read for its first heading, and for tags between its words.
HEADING_WITHIN, TAGS_WITHIN = 65_536, 1_000_000
MOST_TAGS, LONGEST_TAG, LONGEST_NAME = 200, 200, 300
_TITLE_NAMES, _TAG_NAMES, _ALIAS_NAMES = ("title", "Title"), ("tags", "tag", "Tags"), ("aliases", "alias", "Aliases")
_INLINE_TAG = re.compile(r"(?<!\S)#(?P<tag>[\w/-]*[^\W\d_][\w/-]*)")
_COLOUR = re.compile(r"(?=.*\d|(.)\1+\Z)[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?(?:[0-9a-fA-F]{2})?")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_TAGGED_KINDS = frozenset({"paragraph", "heading", "bullet_list", "ordered_list", "blockquote", "admonition", "dl"})
_CODE_KINDS = frozenset({"fence", "code_block", "html_block", "opaque"})


def described(text: str) -> SourceText:
    """The text with all that it says about itself. Front matter that cannot be read is text and nothing else."""
    front_matter = front_matter_of(text)
    fields, warnings = _fields(text, front_matter)
    tags = [*_names(fields, _TAG_NAMES, split=True), *_inline_tags(text)]
    return SourceText(
        text,
        title=_title(text, fields, front_matter),
        tags=tuple(_distinct(tag.removeprefix("#")[:LONGEST_TAG] for tag in tags))[:MOST_TAGS],
        aliases=tuple(_distinct(_names(fields, _ALIAS_NAMES, split=False)))[:MOST_TAGS],
        meta=fields,
        warnings=tuple(warnings),
    )


def file_title(file_name: str | None) -> str | None:
    """The last part of a file's name without its suffix; None where that has no letter."""
    name = PurePosixPath((file_name or "").replace("\\", "/")).name
    stem = name.rpartition(".")[0] or name
    title = " ".join("".join(letter if letter.isprintable() else " " for letter in stem).split())
    return title[:MAX_TITLE] if any(map(str.isalnum, title)) else None


def _fields(text: str, front_matter: FrontMatter | None) -> tuple[Mapping[str, Any], list[str]]:
    if front_matter is None:
        return {}, []
    try:
        fields = fields_of(text, front_matter)
    except Unreadable as reason:
        return {}, [f"The front matter is kept as text and not read as fields: {reason}."]
    return fields.values, [
        f"The front matter has the field `{name}` more than once: the last one counts." for name in fields.repeated[:10]
    ]


def _title(text: str, fields: Mapping[str, Any], front_matter: FrontMatter | None) -> str | None:
    for name in _TITLE_NAMES:
        if isinstance(fields.get(name), str | int | float) and str(fields[name]).strip():
            return " ".join(str(fields[name]).split())[:MAX_TITLE]
    body = front_matter.after if front_matter else 0
    # The parser is shown the text from its first letter on, so that front matter without a title hides no heading.
    document = parse_markdown(text[: body + HEADING_WITHIN])
    return next((title for title in _headings(document) if title), None)


def _headings(document: MarkdownDocument) -> Iterator[str]:
    for block in document.blocks:
        if block.kind == "heading":
            yield plain_title(document.tokens[block.token + 1].content)


def _names(fields: Mapping[str, Any], names: Sequence[str], *, split: bool) -> Iterator[str]:
    """Values of the first field that is there: a list, or one; tags also separated by commas or spaces."""
    value = next((fields[name] for name in names if fields.get(name) is not None), ())
    if isinstance(value, str) and split:
        value = value.split(",") if "," in value else value.split()
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, str | int | float) and str(one).strip():
            yield str(one).strip()[:LONGEST_NAME]


def _inline_tags(text: str) -> Iterator[str]:
    """Obsidian's `#tags` between words, not in code; what looks like a colour is none."""
    text = text[:TAGS_WITHIN]
    if _INLINE_TAG.search(text) is None:
        return
    document = parse_markdown(text)
    for start, end in _spoken(document):
        for tag in _INLINE_TAG.finditer(_CODE.sub(" ", text[start:end])):
            if _COLOUR.fullmatch(tag["tag"]) is None:
                yield tag["tag"].strip("/-")


def _spoken(document: MarkdownDocument) -> Iterator[tuple[int, int]]:
    """The blocks of words, less the code inside of them."""
    code = [
        (document.line_starts[token.map[0]], document.line_starts[token.map[1]])
        for token in document.tokens
        if token.level and token.map and token.type in _CODE_KINDS
    ]
    place = 0
    for block in document.blocks:
        if block.kind not in _TAGGED_KINDS:
            continue
        start = block.start
        while place < len(code) and code[place][0] < block.end:
            if code[place][1] > start:
                yield start, max(start, code[place][0])
                start = min(code[place][1], block.end)
            place += 1
        yield start, block.end


def _distinct(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name and fold(name) not in seen:
            seen.add(fold(name))
            yield name
