"""Readers of source formats, by the suffix of the file name. A new one is a file beside this and a line here."""

from __future__ import annotations

from collections.abc import Iterable

from constants.markdown import SUFFIXES
from interfaces_adaptor.gateways.readers.markdown import MarkdownReader
from services.ingest.reader import Reader


def readers_for(markdown: Iterable[str]) -> dict[str, Reader]:
    """`markdown` are the suffixes of files that are read as Markdown, in small letters and with their dot."""
    return dict.fromkeys(markdown, MarkdownReader())


READERS = readers_for(SUFFIXES)
