"""Source formats: bytes in, text out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from services.domain import JsonObject


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source file as text, with what it says about itself: `meta` are the fields of its front matter, `warnings` tell
    what of them could not be read."""

    text: str
    title: str | None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    meta: JsonObject = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Reader(Protocol):
    """Turns the bytes of a source file into text."""

    def read(self, data: bytes) -> SourceText:
        """Raises InvalidEncoding or EmptyDocument."""
        ...
