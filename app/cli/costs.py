"""What work costs: before (`estimate`), after (`usage`), and what is kept so that it is not paid twice (`purge`)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.using import DatasetId, Key, Refine, Url
from app.container import retention_of
from app.database import joined_database
from app.settings import load_settings
from app.using_service import service
from infra.db.engine import create_engine
from infra.paid.results import PaidResults, Retention
from interfaces_adaptor.clients.service_client import markdown_files

console = Console()


def add_to(app: typer.Typer) -> None:
    for command in (estimate, usage):
        app.command(rich_help_panel="Use it")(command)
    app.command(rich_help_panel="Look after it")(purge)


def estimate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Markdown files or folders; none: a rebuild of the dataset.", exists=True),
    ] = None,
    dataset: DatasetId = "default",
    build_tree: Annotated[bool, typer.Option(help="With the tree over the dataset.")] = True,
    summary_llm: Annotated[str | None, typer.Option(help="Another model for the summaries.")] = None,
    embedding_model: Annotated[str | None, typer.Option(help="Another model for the vectors.")] = None,
    refine: Refine = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Say what an ingest of these files would cost: calls, tokens, money, minutes. Nothing is spent or stored."""
    options: dict[str, Any] = {
        "build_tree": build_tree,
        "summary_llm": summary_llm,
        "embedding_model": embedding_model,
        "refine": refine,
    }
    if paths:
        options["documents"] = documents_in(paths)
    with service(load_settings(), url, api_key) as client:
        show_estimate(client.estimate(dataset, **options))


def documents_in(paths: list[Path]) -> list[dict[str, str]]:
    """What `raptor ingest` would send. Raises BadParameter."""
    documents = []
    for path, name in markdown_files(paths):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            raise typer.BadParameter(f"{name} is not UTF-8 text.", param_hint="PATHS") from None
        if text.strip("\ufeff \t\r\n"):
            documents.append({"text": text, "source": name, "file_name": path.name})
    if not documents:
        raise typer.BadParameter("There is no .md or .markdown file with text in there.", param_hint="PATHS")
    return documents


def usage(
    group_by: Annotated[str, typer.Option(help="day, dataset, job, stage or model.")] = "day",
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Of one dataset.")] = None,
    job: Annotated[str | None, typer.Option(help="Of one job.")] = None,
    since: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD, UTC.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Show what was used and what it cost."""
    wanted = {"dataset_id": dataset, "job_id": job, "since": since, "until": until}
    with service(load_settings(), url, api_key) as client:
        found = client.usage(
            group_by=group_by, limit=500, **{name: value for name, value in wanted.items() if value is not None}
        )
    table = Table(group_by, *NUMBERS, "dollars")
    for item in found["items"]:
        table.add_row(escape(item["key"]), *counts(item), f"{item['cost']:.4f}")
    table.add_section()
    table.add_row("all", *counts(found["total"]), f"{found['total']['cost']:.4f}")
    console.print(table)


def purge(
    days: Annotated[int | None, typer.Option(min=0, help="Keep what was used in so many days; 0: nothing.")] = None,
    megabytes: Annotated[int | None, typer.Option(min=0, help="Keep so much a tenant, the last used.")] = None,
) -> None:
    """Remove stored answers of models that are old or too many: a later equal call is paid again.

    Without options it does what workers do by themselves every hour, by RAPTOR_PAID_RESULTS_DAYS and _BYTES.
    """
    settings = load_settings()
    retention = retention_of(settings)
    if days is not None:
        retention = replace(retention, days=days)
    if megabytes is not None:
        retention = replace(retention, most_bytes=megabytes * 1024 * 1024)
    with joined_database(settings) as database_url:
        removed = asyncio.run(purged(database_url, retention))
    console.print(f"{removed} stored answers removed.")


async def purged(database_url: str, retention: Retention) -> int:
    engine = create_engine(database_url)
    try:
        return await PaidResults(engine).purge_all(retention)
    finally:
        await engine.dispose()


NUMBERS = ("calls", "tokens in", "of them cached", "tokens out", "already paid")


def counts(used: dict[str, Any]) -> list[str]:
    names = ("calls", "input_tokens", "cached_tokens", "output_tokens", "cache_hits")
    return [f"{used[name]:,}" for name in names]


def show_estimate(found: dict[str, Any]) -> None:
    total = found["total"]
    for warning in found["warnings"]:
        console.print(f"[yellow]{escape(warning)}[/]", highlight=False)
    given = f"{found['documents']} documents ({found['unchanged']} unchanged), " if found["documents"] else ""
    console.print(f"{given}{found['chunks']} chunks, {found['new_chunks']} of them to be indexed.", highlight=False)
    levels = ", ".join(f"{level['summaries']} at level {level['level']}" for level in found["levels"])
    console.print({"built": f"Summaries: {levels}.", "unchanged": "The tree stays as it is."}.get(found["tree"], ""))
    table = Table("stage", "model", "calls", "tokens in", "tokens out", "dollars", "minutes")
    for line in found["lines"]:
        table.add_row(
            line["stage"],
            f"{line['provider']}/{line['model']}",
            f"{line['calls']:,}",
            f"{line['input_tokens']:,}",
            f"{line['output_tokens']:,}",
            "unknown" if line["cost"] is None else f"{line['cost']:.4f}",
            f"{line['minutes']:.1f}",
        )
    cost = f"{total['known_cost']:.4f}" + (" and more" if total["cost"] is None else "")
    tokens = (f"{total['input_tokens']:,}", f"{total['output_tokens']:,}")
    table.add_row("all", "", f"{total['calls']:,}", *tokens, cost, f"{total['minutes']:.1f}")
    console.print(table)
    if found["unpriced"]:
        console.print(f"No price is known of {', '.join(found['unpriced'])}: RAPTOR_MODELS_FILE takes it.")
    if not found["lines"]:
        console.print("Nothing to pay: built-in models, or nothing to do.")
