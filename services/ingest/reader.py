"""Source formats: bytes in, text out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source file as text, and the title it gives itself."""

    text: str
    title: str | None


class Reader(Protocol):
    """Turns the bytes of a source file into text."""

    def read(self, data: bytes) -> SourceText:
        """Raises InvalidEncoding or EmptyDocument."""
        ...
