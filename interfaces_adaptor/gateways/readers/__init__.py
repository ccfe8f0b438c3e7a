"""Readers of source formats, by the suffix of the file name. A new one is a file beside this and a line here."""

from __future__ import annotations

from interfaces_adaptor.gateways.readers.markdown import MarkdownReader
from services.ingest.reader import Reader

READERS: dict[str, Reader] = {
    ".md": MarkdownReader(),
    ".markdown": MarkdownReader(),
}
