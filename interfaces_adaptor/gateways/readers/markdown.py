"""Markdown: UTF-8 with or without a byte order mark, kept as it is."""

from __future__ import annotations

from services.errors import EmptyDocument, InvalidEncoding
from services.ingest.metadata import described
from services.ingest.reader import SourceText


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
        return described(text)
