"""Numbers that a field of a dataclass may have, told where the field is declared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends belong to it. Whole numbers where they are; truth values are none."""

    least: float
    most: float
    optional: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.least, int)

    def __contains__(self, value: object) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        # A whole number is compared as it is: one of 400 digits has no float.
        return (isinstance(value, int) or math.isfinite(value)) and self.least <= value <= self.most

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:,} to {self.most:,}" + (", or null" if self.optional else "")


def ranged(default: float | None, least: float, most: float, *, optional: bool = False) -> Any:
    """A dataclass field with its range."""
    return field(default=default, metadata={"range": Range(least, most, optional)})


def ranges_of(kind: type) -> dict[str, Range]:
    """The fields of a dataclass that have a range."""
    return {one.name: one.metadata["range"] for one in fields(kind) if "range" in one.metadata}


def out_of_range(kind: type, values: Mapping[str, Any]) -> dict[str, str]:
    """Of the values for fields of a dataclass those that cannot be, each with what it has to be."""
    return {
        name: f"{name} has to be {wanted}"
        for name, wanted in ranges_of(kind).items()
        if name in values and values[name] not in wanted
    }
