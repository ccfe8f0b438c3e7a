"""Markdown: UTF-8 with or without a byte order mark, kept as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from services.errors import EmptyDocument, InvalidEncoding
from services.ingest.reader import SourceText

FENCE = "---"  # of the front matter
TITLE_FIELD = "title:"
HEADING = re.compile(r" {0,3}#[ \t]+(?=\S)")
TITLE_WITHIN = 4_096  # characters from the start: a title further down is not the document's
TITLE_LENGTH = 300


class MarkdownReader:
    def read(self, data: bytes) -> SourceText:
        """Raises InvalidEncoding for what is not UTF-8 or holds NUL bytes, EmptyDocument for white space alone."""
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidEncoding(byte=error.start) from None
        if "\0" in text:
            raise InvalidEncoding(
                "The file holds NUL bytes, so that it is not text: save it as UTF-8 and send it again.",
                byte=len(text[: text.index("\0")].encode()),
            )
        if not text or text.isspace():
            raise EmptyDocument
        return SourceText(text, title_of(text[:TITLE_WITHIN]))


def title_of(beginning: str) -> str | None:
    """What the document calls itself: `title` of its front matter, else its first heading of level 1."""
    lines = beginning.splitlines()
    titles = (*front_matter_titles(lines), *headings(lines))
    return next((title[:TITLE_LENGTH] for title in titles if title), None)


def front_matter_titles(lines: Sequence[str]) -> Iterator[str]:
    if not lines or lines[0].rstrip() != FENCE:
        return
    fields = list(takewhile(lambda line: line.rstrip() != FENCE, lines[1:]))
    if len(fields) < len(lines) - 1:  # it is closed
        for field in fields:
            if field.startswith(TITLE_FIELD):
                yield field.removeprefix(TITLE_FIELD).strip().strip("\"'").strip()


def headings(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if mark := HEADING.match(line):
            yield line[mark.end() :].rstrip(" \t#")
