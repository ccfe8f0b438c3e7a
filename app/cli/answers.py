"""Commands that answer questions from a dataset, and measure how well it finds what your own questions need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from app.cli.options import DatasetId, Key, Url
from app.cli.output import show_citations
from app.client import service_client

console = Console()


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel="Use a service")(ask)
    app.command("eval", rich_help_panel="Use a service")(evaluation)


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    dataset: DatasetId = "default",
    llm: Annotated[str | None, typer.Option(help="The chat model. By default the service's.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="Maximum number of sources.")] = 10,
    max_cost: Annotated[float | None, typer.Option(help="Limit in US dollars.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Answer a question from a dataset, with citations; the text appears as it is written.

    Without a chat model the answer consists of sentences from the sources.
    """
    options = {"llm": llm, "top_k": top_k, "max_cost": max_cost}
    with service_client(url, api_key) as client:
        told: dict[str, dict[str, Any]] = {}
        for event, data in client.ask(dataset, question, **given(options)):
            told[event] = data
            if event == "retrieval" and data["note"]:
                console.print(f"[yellow]{escape(data['note'])}[/]", highlight=False)
            elif event == "delta":
                console.print(escape(data["text"]), end="", highlight=False, soft_wrap=True)
        console.print("\n")
        show_citations(told["done"], told["retrieval"], told["usage"])


def given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def evaluation(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    questions: Annotated[
        Path,
        typer.Option(help="JSONL or CSV with the fields question, and passage or answer.", exists=True, dir_okay=False),
    ],
    budget: Annotated[list[int], typer.Option(min=50, help="Token budget of the results; may be repeated.")] = [  # noqa: B006
        500,
        2000,
    ],
    output: Annotated[Path | None, typer.Option(help="Write all figures to this file, as JSON.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Measure with your own questions which retrieval mode works best, and whether the tree helps."""
    from app.evaluation import as_json, evaluate, show
    from services.retrieval.evaluation import NoQuestions, questions_in

    try:
        expected = questions_in(questions.read_text(encoding="utf-8"), questions.name)
    except (NoQuestions, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="--questions") from None
    budgets = sorted(set(budget))
    with service_client(url, api_key) as client, Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=len(expected) * len(budgets))
        found = evaluate(client, dataset, expected, budgets, lambda: progress.advance(task))
    show(console, found, len(expected))
    if output is not None:
        output.write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")
