"""The built-in summariser: no key, no cost; the strongest sentences of the sources, word for word."""

from __future__ import annotations

import os

from services.compute import Compute
from services.cost.usage import Usage
from services.models.summary import Summary, SummaryRequest
from services.text.extractive import NAME, summarise
from services.text.key_phrases import MOST_TITLES
from services.text.subjects import titles, told


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
    subject, budget = request.subject, request.max_tokens
    # A whole without sections is told by its strongest sentences.
    text = told(subject, budget) if subject is not None and subject.sections else ""
    found = summarise(request.texts, token_budget=budget, heading_paths=request.heading_paths)
    own = titles(subject) if subject is not None else ()
    return tuple(dict.fromkeys((*own, *found.titles)))[:MOST_TITLES], text or found.text
