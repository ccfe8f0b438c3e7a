"""Markdown: UTF-8 with or without a byte order mark, kept as it is."""

from __future__ import annotations

import re

from services.domain import SourceText
from services.errors import EmptyDocument, InvalidEncoding

FIRST_HEADING = re.compile(r"^ {0,3}#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
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
    title = front_matter_title(beginning)
    if title is None and (heading := FIRST_HEADING.search(beginning)) is not None:
        title = heading.group(1)
    return title.strip()[:TITLE_LENGTH] if title is not None else None


def front_matter_title(beginning: str) -> str | None:
    """Line by line: one expression over all lines took for ever on a file with Windows line ends whose front matter
    has no end, and the whole API with it."""
    first, *lines = (line.rstrip() for line in beginning.split("\n"))
    title = None
    if first != "---":
        return None
    for line in lines:
        if line == "---":
            return title
        if title is None and line.startswith("title:"):
            title = line.removeprefix("title:").strip().strip("\"'") or None
    return None
