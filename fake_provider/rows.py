"""Answers with one item for each input: what can be wrong about their number, order and indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from fake_provider.faults import FaultRule

Item = TypeVar("Item")
Row: TypeAlias = tuple[int, Item]
"""An index and what is said about the input of that index."""


def misplaced(rows: Sequence[Row[Item]], rule: FaultRule | None) -> list[Row[Item]]:
    """The rows as a rule about rows leaves them. `reordered` is right: each row still says where it belongs."""
    kind = rule.kind if rule is not None else ""
    first, last = rows[0], rows[-1]
    if kind == "fewer":
        return list(rows[:-1])
    if kind == "more":
        return [*rows, (len(rows), last[1])]
    if kind == "reordered":
        return list(reversed(rows))
    if kind == "reordered_wrong_index":
        return [(place, item) for place, (_, item) in enumerate(reversed(rows), start=1)]
    if kind == "duplicate_index":
        return [first, first] if len(rows) == 1 else [*rows[:-1], (first[0], last[1])]
    return list(rows)
