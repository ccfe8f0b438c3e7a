"""Commands that ask a dataset: an answer with citations, and how well it is found what one's own questions want."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from app.cli.using import DatasetId, Key, Url, shortened
from app.evaluation import as_json, evaluate, show
from app.settings import load_settings
from app.using_service import service
from services.retrieval.evaluation import NoQuestions, questions_in

console = Console()


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel="Use it")(ask)
    app.command("eval", rich_help_panel="Use it")(evaluation)


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    dataset: DatasetId = "default",
    llm: Annotated[str | None, typer.Option(help="A model's name; by default the configured one.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="Sources at most.")] = 10,
    max_cost: Annotated[float | None, typer.Option(help="US dollars at most.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Answer a question from a dataset, with citations, as the answer is written.

    Without a model it is made of the sources' own sentences.
    """
    options = {"llm": llm, "top_k": top_k, "max_cost": max_cost}
    with service(load_settings(), url, api_key) as client:
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


def show_citations(answer: dict[str, Any], retrieval: dict[str, Any], usage: dict[str, Any]) -> None:
    shown: set[tuple[int, int]] = set()
    for statement in answer["statements"]:
        for citation in statement["citations"]:
            for span in citation["spans"]:
                if (citation["number"], span["start"]) in shown:
                    continue
                shown.add((citation["number"], span["start"]))
                place = f"{span['doc_id']} [{span['start']}:{span['end']}]"
                console.print(
                    f"[bold][{citation['number']}][/] [dim]{escape(place)}[/] {escape(shortened(span['text'], 200))}",
                    highlight=False,
                )
        what = {"unresolved": "cites a source that there is not", "uncited": "cites no source"}.get(statement["mark"])
        if what is None and statement["unsupported"]:
            what = f"says what its sources do not: {', '.join(statement['unsupported'])}"
        if what is not None:
            console.print(f"[yellow]Not backed, it {escape(what)}:[/] {escape(statement['text'])}", highlight=False)
    cut = ", cut at the model's limit" if answer["truncated"] else ""
    console.print(
        f"[dim]{answer['kind']} by {escape(retrieval['model'])}{cut}, {retrieval['mode']},"
        f" ${usage['cost']:.4f}, {answer['took_ms']} ms[/]",
        highlight=False,
    )


def evaluation(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    questions: Annotated[
        Path, typer.Option(help="JSONL or CSV: question, and passage or answer.", exists=True, dir_okay=False)
    ],
    budget: Annotated[list[int], typer.Option(min=50, help="Tokens that may come back; may be repeated.")] = [  # noqa: B006
        500,
        2000,
    ],
    output: Annotated[Path | None, typer.Option(help="Writes all figures as JSON.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Find out on your own questions which way of retrieving is best, and whether the tree helps."""
    try:
        expected = questions_in(questions.read_text(encoding="utf-8"), questions.name)
    except (NoQuestions, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="--questions") from None
    budgets = sorted(set(budget))
    with service(load_settings(), url, api_key) as client, Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=len(expected) * len(budgets))
        found = evaluate(client, dataset, expected, budgets, lambda: progress.advance(task))
    show(console, found, len(expected))
    if output is not None:
        output.write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")
