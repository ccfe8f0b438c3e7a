"""What a build reports beside its tree: how far it is, what it used, how near it came to the least time possible."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from statistics import median
from typing import Any
from uuid import UUID

from services.cost.budget import Meter
from services.jobs.run import JobRun
from services.tree.level import Level


class BuildFigures:
    """Grows with the levels of one build."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.degraded: list[UUID] = []
        self.newly_degraded = 0
        self._floors_s: list[float] = []

    def add_level(self, level: Level, kept: Collection[UUID], concurrency: int, meter: Meter) -> None:
        """A level that is written, the nodes of `kept` by a build before this one; `concurrency` is how many summaries
        were asked for at a time."""
        if level.text is None:
            return
        degraded = [
            node_id
            for node_id, summary in zip(level.node_ids, level.text.summaries, strict=True)
            if "reason" in summary.meta
        ]
        self.degraded += degraded
        self.newly_degraded += sum(node_id not in kept for node_id in degraded)
        call_s, embed_s = meter.latency_s("chat"), meter.latency_s("embed")
        timings = level.text.timings
        self._floors_s.append(
            floor_s(timings.summaries_s, timings.embeddings_s, timings.answered, concurrency, call_s, embed_s)
        )

    def share_done(self, level: int, share: float) -> float:
        return share_done(self.sizes, level, share)

    def as_stats(self, run: JobRun, depth: int) -> dict[str, Any]:
        """Depth, and what the build took beside what the latency of its provider alone takes."""
        figures = run.figures()
        wall_s, least_s = figures["timings"]["wall_s"], sum(self._floors_s)
        return {
            "depth": depth,
            "leaves": self.sizes[0],
            "summaries": sum(size for number, size in self.sizes.items() if number > 0),
            "degraded": len(self.degraded),
            "newly_degraded": self.newly_degraded,
            "usage": figures["usage"],
            "timings": figures["timings"] | {"floor_s": round(least_s, 4)},
            "wall_to_floor": round(wall_s / least_s, 3) if least_s > 0 else None,
        }


def floor_s(
    summaries_s: list[float],
    embeddings_s: list[float],
    answered: int,
    concurrency: int,
    call_s: float | None,
    embed_s: float | None,
) -> float:
    """The least wall time of a level at the latency of a provider's calls: rounds of calls, and one call for the last
    vectors. `summaries_s` and `embeddings_s` are what each took, `answered` those of the summaries that a model wrote.
    Without providers (None), the floor is that of the built-in models."""
    if not summaries_s:
        return 0.0
    written = len(summaries_s) if call_s is None else answered
    floor = -(-written // concurrency) * (median(summaries_s) if call_s is None else call_s)
    if embeddings_s:
        floor += median(embeddings_s) if embed_s is None else embed_s
    return floor


def share_done(sizes: Mapping[int, int], level: int, share: float) -> float:
    """How much of a build is done at least, by summaries. What is still unknown counts as if every level to come were
    half of the one below it, the most that a level can be: so the share never falls when the next level is planned."""
    known = sum(size for number, size in sizes.items() if number > 0)
    if not known:
        return 0.0
    finished = sum(size for number, size in sizes.items() if 0 < number < level) + share * sizes.get(level, 0)
    return finished / (known + sizes[max(sizes)])
