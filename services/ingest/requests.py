"""What is embedded of several documents, and in which requests: the documents of one job share them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from services.models.embedding import EmbeddingUnit
from utils.batching import batches


def units_of(
    documents: Sequence[Sequence[str]], units: Callable[[Sequence[str]], list[EmbeddingUnit]]
) -> list[EmbeddingUnit]:
    """The units of all documents; positions are those in their flattened texts."""
    found, first = [], 0
    for texts in documents:
        for unit in units(texts):
            positions = range(first + unit.positions.start, first + unit.positions.stop)
            found.append(EmbeddingUnit(positions, unit.keys, unit.together))
        first += len(texts)
    return found


def to_embed(units: Sequence[EmbeddingUnit], known: Collection[int]) -> list[list[int]]:
    """Of each unit the positions that have to be sent: those that are not known, or all where they see each other."""
    return [
        [position for position in unit.positions if unit.together or position not in known]
        for unit in units
        if any(position not in known for position in unit.positions)
    ]


def embedded_together(
    missing: Sequence[Sequence[int]], units: Sequence[EmbeddingUnit], batch: int
) -> Iterator[list[list[int]]]:
    """What is asked for and stored at a time, so that a crash repeats no more, as neighbours of one document: windows
    of a contextual embedder, or texts; in either case about as many texts as one request takes."""
    if units and units[0].together:
        yield from filled(missing, batch)
    else:
        yield from ([list(texts)] for texts in batches([p for unit in missing for p in unit], batch))


def filled(groups: Sequence[Sequence[int]], most: int) -> Iterator[list[list[int]]]:
    """Runs of whole groups with at most so many members; a larger group is one by itself."""
    run: list[list[int]] = []
    size = 0
    for group in groups:
        if run and size + len(group) > most:
            yield run
            run, size = [], 0
        run.append(list(group))
        size += len(group)
    if run:
        yield run
