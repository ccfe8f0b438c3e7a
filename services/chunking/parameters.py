"""The two numbers every chunker takes, and the range they have to be in."""

from __future__ import annotations

from services.errors import InvalidRequest

DEFAULT_SIZE = 1200
DEFAULT_OVERLAP = 200
# Below this no heading fits together with a sentence, and chunks stop being passages.
MIN_SIZE = 100


class InvalidChunkSize(InvalidRequest, ValueError):
    """`chunk_size` has to be at least 100 characters, and `chunk_overlap` at least 0 and smaller than `chunk_size`."""


def check_parameters(size: int, overlap: int) -> None:
    """Raises InvalidChunkSize."""
    if size < MIN_SIZE or not 0 <= overlap < size:
        raise InvalidChunkSize(size=size, overlap=overlap)
