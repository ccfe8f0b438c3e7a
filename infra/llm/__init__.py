"""Summarisers by name. A new one is a file beside this and a line here; `tests/contracts` runs over all."""

from __future__ import annotations

from collections.abc import Callable

from infra.llm.extractive import ExtractiveSummarizer
from services.errors import UnknownModel
from services.ports import Compute, Summarizer

SUMMARIZERS: dict[str, Callable[[Compute], Summarizer]] = {
    "builtin/extractive": ExtractiveSummarizer,
}


def open_summarizer(name: str, compute: Compute) -> Summarizer:
    """Raises UnknownModel."""
    check_summarizer(name)
    return SUMMARIZERS[name](compute)


def check_summarizer(name: str) -> None:
    """Raises UnknownModel."""
    if name not in SUMMARIZERS:
        raise UnknownModel(f"There is no summariser {name!r}.", known=sorted(SUMMARIZERS))
