"""What the stages of an ingest or a build cost, and how long they take at a model's limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.cost.budget import Terms
from services.cost.expected_tree import LevelEstimate
from services.cost.usage import Usage
from services.tree.write import EMBED_BATCH

Stage = Literal["refinement", "embed", "summary"]

# What a refinement answers: three lists that are mostly empty.
DECISION_TOKENS = 20
# Seconds that a call is reckoned with: a provider's latency is not known before it is called.
SECONDS_A_CALL: dict[Stage, float] = {"refinement": 3.0, "summary": 4.0, "embed": 1.0}


@dataclass(frozen=True, slots=True)
class CostLine:
    """Expected work of one stage. `cost` is in US dollars, None where the model's price is not known; `minutes` is
    what it takes at the limits."""

    stage: Stage
    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    minutes: float


def line_of(stage: Stage, terms: Terms, used: Usage, rounds: int) -> CostLine:
    """`rounds` are calls that have to be made one after the other."""
    paces = [rounds * SECONDS_A_CALL[stage] / 60, used.calls * terms.min_interval_s / 60]
    if terms.rpm is not None:
        paces.append(used.calls / terms.rpm)
    if terms.tpm is not None:
        paces.append(used.tokens / terms.tpm)
    cost = terms.price.of(used.input_tokens, used.output_tokens, 0) if terms.price.known else None
    return CostLine(
        stage, terms.provider, terms.model, used.calls, used.input_tokens, used.output_tokens, cost, max(paces)
    )


def refinement_lines(questions: Sequence[int], chat: Terms | None) -> list[CostLine]:
    """The line of a refinement by a model; `questions` are the tokens of each."""
    if chat is None or not questions:
        return []
    count = len(questions)
    used = Usage(calls=count, input_tokens=sum(questions), output_tokens=count * DECISION_TOKENS)
    return [line_of("refinement", chat, used, -(-count // chat.concurrency))]


def tree_lines(levels: Sequence[LevelEstimate], summaries: Terms | None, vectors: Terms | None) -> list[CostLine]:
    """The lines of a tree's levels; None stands for a built-in model, which has none."""
    lines = []
    if summaries is not None and levels:
        used = Usage(
            calls=sum(level.summaries for level in levels),
            input_tokens=sum(level.input_tokens for level in levels),
            output_tokens=sum(level.output_tokens for level in levels),
        )
        rounds = sum(-(-level.summaries // summaries.concurrency) for level in levels)
        lines.append(line_of("summary", summaries, used, rounds))
    if vectors is not None and levels:
        calls = sum(-(-level.summaries // EMBED_BATCH) for level in levels)
        used = Usage(calls=calls, input_tokens=sum(level.summary_tokens for level in levels))
        lines.append(line_of("embed", vectors, used, len(levels)))
    return lines
