"""Cutting a source text into chunks. A new way to do it is one module and one line in CHUNKERS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from services.chunking.edits import NO_EDITS, Edits
from services.chunking.markdown import chunk_markdown
from services.chunking.parameters import DEFAULT_OVERLAP, DEFAULT_SIZE, InvalidChunkSize
from services.chunking.recursive import chunk_recursive
from services.domain import ChunkSpan

__all__ = ["CHUNKERS", "Chunker", "InvalidChunkSize", "chunk_markdown", "chunk_recursive"]


class Chunker(Protocol):
    """Pure: the same source, numbers and edits give the same spans. Raises InvalidChunkSize."""

    def __call__(
        self, source: str, *, size: int = DEFAULT_SIZE, overlap: int = DEFAULT_OVERLAP, edits: Edits = NO_EDITS
    ) -> list[ChunkSpan]: ...


CHUNKERS: Mapping[str, Chunker] = {
    "markdown": chunk_markdown,
    "recursive": chunk_recursive,
}
