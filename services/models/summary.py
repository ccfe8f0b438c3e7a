"""What writes the summary of a group of texts: a chat model, or the built-in summariser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.cost.usage import Usage
from services.domain import JsonObject
from services.text.subjects import Subject


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """A group to be summarised: its texts in reading order, and for each the titles of what it belongs to.

    The texts together are cut to `token_budget`, the summary has at most `max_tokens`. `sources` are the versions of
    documents that the texts stand in or were written from. `subject` is what a group of summaries, or a root, tells of:
    who has no words of his own makes the summary of that.
    """

    texts: tuple[str, ...]
    heading_paths: tuple[tuple[str, ...], ...]
    token_budget: int
    max_tokens: int
    sources: tuple[UUID, ...] = ()
    subject: Subject | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """`titles` have at most 32 characters, the best first: which one is taken depends on those of the siblings.
    `meta` carries `summary_kind` and whatever a reader should be warned of."""

    titles: tuple[str, ...]
    text: str
    meta: JsonObject
    usage: Usage


class Summarizer(Protocol):
    name: str
    concurrency: int  # how many requests may be under way at once: the limit that a level's floor is reckoned with

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Raises ProviderError, BudgetExceeded."""
        ...
