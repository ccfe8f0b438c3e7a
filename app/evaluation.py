"""`raptor eval`: one's own questions through every way of retrieving, at equal budgets, over the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from interfaces_adaptor.clients.service_client import ServiceClient, ServiceError
from services.retrieval.evaluation import ExpectedAnswer, Interval, Verdict, coverage, interval, recall, verdict

# As many hits as may come, so that the budget alone decides.
TOP_K = 100


@dataclass(frozen=True, slots=True)
class Configuration:
    name: str
    options: Mapping[str, Any]
    tree: bool


CONFIGURATIONS = (
    Configuration("flat, dense", {"mode": "leaves", "hybrid": False}, tree=False),
    Configuration("flat, hybrid", {"mode": "leaves", "hybrid": True}, tree=False),
    Configuration("collapsed", {"mode": "collapsed"}, tree=True),
    Configuration("tree_traversal", {"mode": "tree_traversal"}, tree=True),
    Configuration("auto", {"mode": "auto"}, tree=True),
)
# For a service that searches in one way only.
FLAT = Configuration("flat", {"mode": "leaves"}, tree=False)


@dataclass(slots=True)
class Run:
    """What one configuration brought at one budget, a value a question."""

    configuration: Configuration
    budget: int
    coverages: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`left_out` tells by name why a configuration was not run."""

    runs: Sequence[Run]
    verdicts: Mapping[int, Verdict]
    left_out: Mapping[str, str]


def evaluate(
    client: ServiceClient,
    dataset: str,
    questions: Sequence[ExpectedAnswer],
    budgets: Sequence[int],
    progress: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Raises ServiceError for a dataset that cannot be asked at all."""
    offered, left_out = offered_by(client, dataset, questions[0].question)
    runs = []
    for budget in budgets:
        at_budget = [Run(configuration, budget) for configuration in offered]
        # Question by question, so that a cold cache or a busy minute falls on all configurations alike.
        for expected in questions:
            for run in at_budget:
                ask(client, dataset, expected, run)
            progress()
        runs += at_budget
    return Evaluation(runs, {budget: judged(runs, budget) for budget in budgets if comparable(runs)}, left_out)


def offered_by(client: ServiceClient, dataset: str, question: str) -> tuple[list[Configuration], dict[str, str]]:
    """The configurations that the service takes for this dataset, and why it does not take the others."""
    offered: list[Configuration] = []
    left_out: dict[str, str] = {}
    for configuration in (*CONFIGURATIONS, FLAT):
        if configuration is FLAT and not all(one.tree for one in offered):
            continue
        try:
            client.retrieve(dataset, question, top_k=1, **configuration.options)
        except ServiceError as error:
            if error.code not in ("validation_error", "tree_not_found"):
                raise
            reasons = {"validation_error": "this service does not offer it", "tree_not_found": "there is no tree"}
            left_out[configuration.name] = reasons[error.code]
        else:
            offered.append(configuration)
    return sorted(offered, key=lambda one: one.tree), left_out


def ask(client: ServiceClient, dataset: str, expected: ExpectedAnswer, run: Run) -> None:
    options = run.configuration.options
    found = client.retrieve(dataset, expected.question, top_k=TOP_K, max_tokens=run.budget, **options)
    texts = [hit["text"] for hit in found["results"]]
    run.coverages.append(coverage(expected, texts))
    if (came := recall(expected, texts)) is not None:
        run.recalls.append(came)
    run.took_ms.append(found["took_ms"])
    run.tokens.append(sum(hit["token_cnt"] for hit in found["results"]))
    run.cost += found["usage"].get("cost", 0.0)


def comparable(runs: Sequence[Run]) -> bool:
    return {run.configuration.tree for run in runs} == {True, False}


def judged(runs: Sequence[Run], budget: int) -> Verdict:
    sides: dict[bool, dict[str, Sequence[float]]] = {True: {}, False: {}}
    for run in runs:
        if run.budget == budget:
            sides[run.configuration.tree][run.configuration.name] = run.coverages
    return verdict(sides[True], sides[False])


def show(console: Console, evaluation: Evaluation, questions: int) -> None:
    table = Table("budget", "configuration", "recall", "coverage", "tokens", "median", "p95", "cost of 1,000")
    for run in evaluation.runs:
        table.add_row(
            str(run.budget),
            run.configuration.name,
            shown(interval(run.recalls)) if run.recalls else "",
            shown(interval(run.coverages)),
            f"{np.mean(run.tokens):.0f}",
            f"{np.median(run.took_ms):.0f} ms",
            f"{np.quantile(run.took_ms, 0.95):.0f} ms",
            f"${1000 * run.cost / questions:.2f}",
        )
    console.print(table)
    console.print(
        "recall: share of the expected passages that came back (at least 80 % of one, word for word). coverage: share"
        " of the expected words that came back. In brackets: 95 % bootstrap intervals.",
        style="dim",
    )
    for name, reason in evaluation.left_out.items():
        console.print(f"{escape(name)} was left out: {reason}.", highlight=False)
    for budget, found in evaluation.verdicts.items():
        console.print(f"[bold]{budget} tokens:[/] {escape(conclusion(found, questions))}", highlight=False)
    if not evaluation.verdicts:
        console.print("Whether the tree helps cannot be said: the dataset has no tree to compare with.")


def shown(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def conclusion(found: Verdict, questions: int) -> str:
    """In words; what the figures do not show is not said."""
    gain = found.difference
    figures = (
        f"coverage {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], {found.tree} against {found.flat},"
        f" {100 * found.confidence:.1f} % interval"
    )
    if found.helps == "yes":
        return f"The tree helps on this data ({figures})."
    if found.helps == "no":
        return f"The tree does harm on this data: use mode=leaves ({figures})."
    if gain.low == gain.high == 0:
        return f"The tree makes no difference on this data ({figures})."
    few = " Ask more questions to tell." if questions < 200 else ""
    return f"These {questions} questions do not show that the tree helps ({figures}).{few}"


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "runs": [
            {
                "configuration": run.configuration.name,
                "options": dict(run.configuration.options),
                "budget": run.budget,
                "recall": interval_json(interval(run.recalls)) if run.recalls else None,
                "coverage": interval_json(interval(run.coverages)),
                "coverages": run.coverages,
                "tokens": float(np.mean(run.tokens)),
                "took_ms_median": float(np.median(run.took_ms)),
                "took_ms_p95": float(np.quantile(run.took_ms, 0.95)),
                "cost": run.cost,
            }
            for run in evaluation.runs
        ],
        "verdicts": {
            str(budget): {
                "helps": found.helps,
                "tree": found.tree,
                "flat": found.flat,
                "difference": interval_json(found.difference),
                "confidence": found.confidence,
            }
            for budget, found in evaluation.verdicts.items()
        },
        "left_out": dict(evaluation.left_out),
    }


def interval_json(value: Interval) -> dict[str, float]:
    return {"mean": value.mean, "low": value.low, "high": value.high}
