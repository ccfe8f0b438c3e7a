"""Markdown: UTF-8 with or without a byte order mark, kept as it is."""

from __future__ import annotations

import re

from services.domain import SourceText
from services.errors import EmptyDocument, InvalidEncoding

FRONT_MATTER_TITLE = re.compile(
    r"\A---\r?\n(?:.*\r?\n)*?title:[ \t]*[\"']?(.+?)[\"']?[ \t]*\r?\n(?:.*\r?\n)*?---[ \t]*\r?\n"
)
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
    found = FRONT_MATTER_TITLE.match(beginning) or FIRST_HEADING.search(beginning)
    return found.group(1).strip()[:TITLE_LENGTH] if found else None
