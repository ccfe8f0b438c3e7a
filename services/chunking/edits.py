"""What refinement decides about a source, as places in it. Text is left out or cut elsewhere, never written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.chunking import costs
from services.chunking.document import trimmed
from services.chunking.splitting import Atom
from services.text.payload import ThinText

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Edits:
    """Offsets in characters: `dropped` are ranges that no chunk holds, ascending and apart; at `breaks` a chunk should
    begin, at `joins` none should."""

    dropped: tuple[Span, ...] = ()
    breaks: frozenset[int] = frozenset()
    joins: frozenset[int] = frozenset()


NO_EDITS = Edits()


def seen_in(shown: ThinText, edits: Edits) -> Edits:
    """The same decisions as places in the text without its payload."""
    return Edits(
        tuple((shown.place(start), shown.place(end)) for start, end in edits.dropped),
        frozenset(map(shown.place, edits.breaks)),
        frozenset(map(shown.place, edits.joins)),
    )


def kept(source: str, start: int, end: int, dropped: Sequence[Span]) -> Iterator[Span]:
    """What is left of `source[start:end]`, without surrounding white space. `dropped` is ascending."""
    for first, last in dropped:
        if first >= end:
            break
        if last <= start:
            continue
        before = trimmed(source, start, max(start, first))
        if before[0] < before[1]:
            yield before
        start = min(end, last)
    rest = trimmed(source, start, end)
    if rest[0] < rest[1]:
        yield rest


def edited(source: str, atoms: Sequence[Atom], edits: Edits) -> list[list[Atom]]:
    """The atoms that are kept, in runs that no dropped text interrupts: a chunk is one span, so none may reach over
    it. Costs follow the decisions where the text's own form leaves a choice."""
    if edits == NO_EDITS:
        return [list(atoms)]
    runs: list[list[Atom]] = [[]]
    passed = 0  # dropped ranges that end before what is looked at
    for atom in atoms:
        for start, end in kept(source, atom.start, atom.end, edits.dropped[passed:]):
            reached = passed
            while reached < len(edits.dropped) and edits.dropped[reached][1] <= start:
                reached += 1
            if reached > passed:
                runs.append([])
                passed = reached
            runs[-1].append(_weighed(replace(atom, start=start, end=end), edits))
    return [run for run in runs if run]


def _weighed(atom: Atom, edits: Edits) -> Atom:
    if atom.cost >= costs.FORBIDDEN:
        return atom
    if atom.start in edits.breaks:
        return replace(atom, cost=costs.NEW_TOPIC)
    return replace(atom, cost=max(atom.cost, costs.TORN)) if atom.start in edits.joins else atom
