"""The built-in summariser: no key, no cost; the strongest sentences of the sources, word for word."""

from __future__ import annotations

import os

from services.compute import Compute
from services.cost.usage import Usage
from services.models.summary import Summary, SummaryRequest
from services.text.extractive import NAME, summarise


class ExtractiveSummarizer:
    name = NAME

    def __init__(self, compute: Compute | None = None) -> None:
        self._compute = compute
        # Two requests a core: one computes while the other travels between the processes.
        self.concurrency = 2 * (os.cpu_count() or 1)

    async def summarize(self, request: SummaryRequest) -> Summary:
        titles, text = summary_of(request) if self._compute is None else await self._compute(summary_of, request)
        return Summary(titles, text, {"summary_kind": "extractive"}, Usage())


def summary_of(request: SummaryRequest) -> tuple[tuple[str, ...], str]:
    """Runs in the process pool."""
    found = summarise(request.texts, token_budget=request.max_tokens, heading_paths=request.heading_paths)
    return found.titles, found.text
