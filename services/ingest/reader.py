"""Source formats: bytes in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.domain import JsonObject
from services.errors import UnsupportedFileType


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source file as text, with what it says about itself: `meta` are the fields of its front matter, `warnings` tell
    what of them could not be read; `links` are keys of `services/text/links.py`."""

    text: str
    title: str | None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    meta: JsonObject = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class Reader(Protocol):
    """Turns the bytes of a source file into text."""

    def read(self, data: bytes) -> SourceText:
        """Raises InvalidEncoding or EmptyDocument."""
        ...


def reader_for(readers: Mapping[str, Reader], file_name: str | None) -> Reader:
    """The reader of a file by its suffix; a text without a name is Markdown. Raises UnsupportedFileType."""
    suffix = ".md" if file_name is None else "." + file_name.lower().rpartition(".")[2]
    reader = next(iter(readers.values())) if file_name is None else readers.get(suffix)
    if reader is None:
        raise UnsupportedFileType(file_name=(file_name or "")[:200], accepted=sorted(readers))
    return reader
