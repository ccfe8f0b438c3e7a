"""The plot of growth in `docs/tree-engine.md`: CPU and memory against leaves, both axes logarithmic.

python -m bench.tree_engine --no-reference --seeds 1 --memory --json --leaves 1000 … | python -m bench.tree_plot FILE
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, GAP, LEFT, RIGHT, TOP, BOTTOM = 380, 260, 40, 64, 40, 40, 48
INK, FAINT, LINE = "#333333", "#dddddd", "#1f6fb2"


def main() -> None:
    lines = [json.loads(line) for line in sys.stdin if line.startswith("{")]
    cpu = [(f["leaves"], f["value"]) for f in lines if f["figure"] == "cpu_seconds"]
    memory = [(f["leaves"], f["value"]) for f in lines if f["figure"] == "peak_rss_mib"]
    Path(sys.argv[1]).write_text(plot(cpu, memory))


def plot(cpu: Points, memory: Points) -> str:
    """`cpu` in seconds of one level, `memory` in MiB over all processes."""
    whole = f'width="{2 * (LEFT + WIDTH) + GAP + RIGHT}" height="{TOP + HEIGHT + BOTTOM}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {whole} font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *panel(0, "CPU seconds of one level", cpu, (0.1, 100.0), slope=True),
            *panel(LEFT + WIDTH + GAP, "MiB over all processes, two workers", memory, (500.0, 5000.0), slope=False),
            "</svg>",
            "",
        ]
    )


def panel(shift: float, title: str, points: Points, limits: tuple[float, float], *, slope: bool) -> Iterator[str]:
    left, right = 1e3, 1e5
    across = scale(left, right, shift + LEFT, shift + LEFT + WIDTH)
    up = scale(*limits, TOP + HEIGHT, TOP)
    yield text(shift + LEFT, TOP - 16, title, weight="bold")
    for leaves in (1e3, 1e4, 1e5):
        yield line([(across(leaves), TOP), (across(leaves), TOP + HEIGHT)], FAINT)
        yield text(across(leaves), TOP + HEIGHT + 18, f"{leaves:,.0f}", anchor="middle")
    yield text(shift + LEFT + WIDTH / 2, TOP + HEIGHT + 38, "leaves", anchor="middle")
    for value in ticks(*limits):
        yield line([(shift + LEFT, up(value)), (shift + LEFT + WIDTH, up(value))], FAINT)
        yield text(shift + LEFT - 8, up(value) + 4, f"{value:g}", anchor="end")
    if slope:
        start = points[0][1]
        yield line([(across(left), up(start)), (across(right), up(start * right / left))], INK, dashes="4 4")
        yield text(across(2.2e4), up(start * 55), "linear", anchor="end")
    yield line([(across(x), up(y)) for x, y in points], LINE, width=2)
    for x, y in points:
        yield f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="4" fill="{LINE}"/>'
        yield text(across(x) - 4, up(y) + 20, f"{y:.3g}" if y < 100 else f"{y:,.0f}", anchor="middle")


def scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """From a logarithmic axis low..high to first..last."""
    return lambda value: first + (last - first) * math.log(value / low) / math.log(high / low)


def ticks(low: float, high: float) -> Iterator[float]:
    for power in range(-2, 6):
        for digit in (1, 2, 5):
            value = digit * 10.0**power
            if low <= value <= high:
                yield value


def line(points: Iterable[tuple[float, float]], colour: str, *, width: float = 1, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    style = f'fill="{INK}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{words}</text>'


if __name__ == "__main__":
    main()
