"""What work costs, before (`estimate`) and after (`usage`), and clearing the stored results of models (`purge`)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.options import DatasetId, Key, Refine, Root, Url
from app.cli.output import show_estimate
from app.client import service_client

if TYPE_CHECKING:
    from infra.paid.results import Retention

console = Console()


def add_to(app: typer.Typer) -> None:
    for command in (estimate, usage):
        app.command(rich_help_panel="Use a service")(command)
    app.command(rich_help_panel="Maintain a service")(purge)


def estimate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Markdown files or folders. None: a rebuild of the dataset.", exists=True),
    ] = None,
    dataset: DatasetId = "default",
    build_tree: Annotated[bool, typer.Option(help="Include the tree over the dataset.")] = True,
    summary_llm: Annotated[str | None, typer.Option(help="A different model for the summaries.")] = None,
    embedding_model: Annotated[str | None, typer.Option(help="A different embedding model.")] = None,
    refine: Refine = None,
    root: Root = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Estimate what ingesting these files would cost: calls, tokens, money, minutes. Nothing is spent or stored."""
    options: dict[str, Any] = {
        "build_tree": build_tree,
        "summary_llm": summary_llm,
        "embedding_model": embedding_model,
        "refine": refine,
    }
    if paths:
        options["documents"] = documents_in(paths, root or Path())
    with service_client(url, api_key) as client:
        show_estimate(client.estimate(dataset, **options))


def documents_in(paths: list[Path], root: Path) -> list[dict[str, str]]:
    """The documents that `raptor ingest` would send. Raises BadParameter, FolderRefused."""
    from interfaces_adaptor.gateways.folders.named import named_files
    from interfaces_adaptor.gateways.folders.rules import WalkRules

    documents = []
    for file in named_files(paths, root, WalkRules())[0]:
        try:
            text = file.at.read_bytes().decode()
        except UnicodeDecodeError:
            raise typer.BadParameter(f"{file.path} is not UTF-8 text.", param_hint="PATHS") from None
        if text.strip("\ufeff \t\r\n"):
            documents.append({"text": text, "source": file.path, "file_name": file.path.rpartition("/")[2]})
    if not documents:
        raise typer.BadParameter("There is no Markdown file with text.", param_hint="PATHS")
    return documents


def usage(
    group_by: Annotated[str, typer.Option(help="day, dataset, job, stage or model.")] = "day",
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Only this dataset.")] = None,
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    since: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD, UTC.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Show how much models were used and what it cost."""
    wanted = {"dataset_id": dataset, "job_id": job, "since": since, "until": until}
    with service_client(url, api_key) as client:
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
    days: Annotated[
        int | None, typer.Option(min=0, help="Keep results used within this many days; 0 keeps none.")
    ] = None,
    megabytes: Annotated[
        int | None, typer.Option(min=0, help="Keep at most this much per tenant, the most recently used.")
    ] = None,
) -> None:
    """Remove stored results of models. A later call like the one removed has to be paid again.

    Without options it applies RAPTOR_PAID_RESULTS_DAYS and RAPTOR_PAID_RESULTS_BYTES, as workers do every hour.
    """
    from app.container import retention_of
    from app.database import joined_database
    from app.settings import load_settings

    settings = load_settings()
    retention = retention_of(settings)
    if days is not None:
        retention = replace(retention, days=days)
    if megabytes is not None:
        retention = replace(retention, most_bytes=megabytes * 1024 * 1024)
    with joined_database(settings) as database_url:
        removed = asyncio.run(purged(database_url, retention))
    console.print(f"{removed} stored results removed.")


async def purged(database_url: str, retention: Retention) -> int:
    from infra.db.engine import create_engine
    from infra.paid.results import PaidResults

    engine = create_engine(database_url)
    try:
        return await PaidResults(engine).purge_all(retention)
    finally:
        await engine.dispose()


NUMBERS = ("calls", "tokens in", "of which cached", "tokens out", "from store")


def counts(used: dict[str, Any]) -> list[str]:
    names = ("calls", "input_tokens", "cached_tokens", "output_tokens", "cache_hits")
    return [f"{used[name]:,}" for name in names]
