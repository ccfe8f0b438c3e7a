"""The picture of a tree's history in `docs/maintenance.md`: summaries written so far, and regret, change by change.

The ground is white by itself, so that it is read on a dark page as on a light one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from bench.tree_plot import FAINT, INK, LINE, line, text

WIDTH, LEFT, RIGHT, GAP = 640, 72, 208, 72
PANELS = ((44, 240), (44 + 240 + GAP, 120))  # top and height of each
BOTTOM = 52
REBUILD = "#c0562b"

Row = dict[str, Any]


def plot(rows: Sequence[Row], bound: float) -> str:
    """`bound` is the regret at which the tree is clustered anew. Rows are in the order of the changes."""
    height = PANELS[-1][0] + PANELS[-1][1] + BOTTOM
    size = f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" width="{LEFT + WIDTH + RIGHT}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="white"/>',
            *written_so_far(rows),
            *regret_by_change(rows, bound),
            "</svg>",
            "",
        ]
    )


def written_so_far(rows: Sequence[Row]) -> Iterator[str]:
    maintained = list(accumulate((row["written"] + row["clustered"] for row in rows), initial=0))
    rebuilt = list(accumulate((row["rebuilt"] for row in rows), initial=0))
    panel = Panel(*PANELS[0], len(rows), float(max(rebuilt[-1], maintained[-1])))
    yield from panel.frame("Summaries written so far")
    for values, colour, label in ((rebuilt, REBUILD, "a rebuild after each change"), (maintained, LINE, "maintenance")):
        yield line(panel.points(values), colour, width=2.5)
        x, y = panel.points(values)[-1]
        yield text(x + 8, y - 4, f"{values[-1]:,}", weight="bold")
        yield text(x + 8, y + 12, label)
    for number, row in enumerate(rows, start=1):
        if row["clustered"]:
            yield panel.dot(number, maintained[number])


def regret_by_change(rows: Sequence[Row], bound: float) -> Iterator[str]:
    values = [0.0, *(row["regret"] for row in rows)]
    panel = Panel(*PANELS[1], len(rows), 1.25 * max(bound, *values), 1.25 * min(values))
    yield from panel.frame(
        "Regret: how many more passages than at first a clustering of the whole would group otherwise"
    )
    yield line(panel.points([bound] * len(values)), INK, dashes="5 4")
    yield text(LEFT + WIDTH + 8, panel.y(bound) + 4, f"bound, {bound:.0%}")
    yield line(panel.points(values), LINE, width=2)
    for number, row in enumerate(rows, start=1):
        if row["clustered"]:
            yield panel.dot(number, values[number])
    yield text(LEFT + WIDTH / 2, panel.top + panel.height + 40, "changes", anchor="middle")
    if any(row["clustered"] for row in rows):
        yield panel.dot(0, 0.0, at=(LEFT + WIDTH + 14, panel.top + panel.height - 4))
        yield text(LEFT + WIDTH + 24, panel.top + panel.height, "clustered anew")


class Panel:
    """Axes from 0 to `changes` and from `least` to `most`, both linear."""

    def __init__(self, top: float, height: float, changes: int, most: float, least: float = 0.0) -> None:
        self.top = top
        self.height = height
        self._changes = changes
        self._most = most
        self._least = least

    def x(self, change: float) -> float:
        return LEFT + WIDTH * change / self._changes

    def y(self, value: float) -> float:
        return self.top + self.height * (self._most - value) / (self._most - self._least)

    def points(self, values: Sequence[float]) -> list[tuple[float, float]]:
        return [(self.x(number), self.y(value)) for number, value in enumerate(values)]

    def frame(self, title: str) -> Iterator[str]:
        yield text(LEFT, self.top - 14, title, weight="bold")
        for value in ticks(self._least, self._most):
            yield line([(LEFT, self.y(value)), (LEFT + WIDTH, self.y(value))], FAINT)
            words = f"{value:,.0f}" if self._most > 1 else f"{value:.0%}"
            yield text(LEFT - 8, self.y(value) + 4, words, anchor="end")
        for change in ticks(0, self._changes):
            yield line([(self.x(change), self.top), (self.x(change), self.top + self.height)], FAINT)
            yield text(self.x(change), self.top + self.height + 18, f"{change:g}", anchor="middle")

    def dot(self, change: int, value: float, at: tuple[float, float] | None = None) -> str:
        x, y = at or (self.x(change), self.y(value))
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{INK}"/>'


def ticks(least: float, most: float) -> list[float]:
    """About four round steps between these, 0 among them."""
    step = next(
        step
        for power in range(-3, 7)
        for step in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
        if (most - least) / step <= 5
    )
    return [round(step * number, 6) for number in range(math.ceil(least / step), math.floor(most / step) + 1)]
