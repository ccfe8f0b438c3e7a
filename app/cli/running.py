"""Commands that run the service or a part of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app import demonstration, doctor
from app.database import joined_database, owned_database, shared_database
from app.logging import configure_logging
from app.resources import migrations_folder
from app.serve import serve as run_server
from app.settings import Settings, load_settings
from app.worker import run_worker
from infra.db.migrate import Migrations
from infra.db.migrate import migrate as apply_migrations

console = Console()

Host = Annotated[str | None, typer.Option(help="Address to listen on; RAPTOR_HOST.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port; 0 picks a free one; RAPTOR_PORT.", show_default="8000")]


def add_to(app: typer.Typer) -> None:
    for command in (serve, api, worker, migrate):
        app.command(rich_help_panel="Run the service")(command)
    app.command(rich_help_panel="Look after it", name="doctor")(check)
    app.command(rich_help_panel="Use it")(demo)


def serve(host: Host = None, port: Port = None) -> None:
    """Run everything: API, worker, and without DATABASE_URL an embedded Postgres in RAPTOR_DATA_DIR."""
    settings = listening_on(load_settings(), host, port)
    configure_logging(settings.log, "serve")
    with owned_database(settings) as url:
        asyncio.run(run_server(settings, url, with_worker=True, announce=announce))


def api(host: Host = None, port: Port = None) -> None:
    """Run the API alone; workers run elsewhere on the same DATABASE_URL."""
    settings = listening_on(load_settings(), host, port)
    configure_logging(settings.log, "api")
    url = shared_database(settings)
    asyncio.run(run_server(settings, url, with_worker=False, announce=announce))


def worker(
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run one worker; start as many as you want on one DATABASE_URL."""
    settings = load_settings()
    configure_logging(settings.log, "worker")
    url = shared_database(settings)
    asyncio.run(run_worker(settings, url, until_stdin_closes=until_stdin_closes))


def migrate() -> None:
    """Bring the database to the schema of this version. `raptor serve` does it by itself."""
    settings = load_settings()
    with joined_database(settings) as url:
        asyncio.run(apply_migrations(url, Migrations(migrations_folder())))
    console.print("The database has the schema of this version.")


def check(
    recall: Annotated[
        bool, typer.Option("--recall", help="Measure the vector indexes on their own vectors and set their breadth.")
    ] = False,
) -> None:
    """Say what is configured, what is reachable, what is missing and how to mend it."""
    settings = load_settings()
    raise typer.Exit(0 if doctor.examine(settings, console, recall=recall) else 1)


def demo(
    samples: Annotated[
        Path | None, typer.Argument(help="A folder with Markdown instead of the sample handbook.")
    ] = None,
) -> None:
    """Watch the sample handbook become a tree, and ask it two questions. No key, no cost."""
    settings = load_settings()
    demonstration.run(settings, console, samples)


def listening_on(settings: Settings, host: str | None, port: int | None) -> Settings:
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    return settings.model_copy(update={"http": settings.http.model_copy(update=given)})


def announce(url: str) -> None:
    console.print(
        f"[bold]raptor-service[/] listens on [link={url}]{url}[/link]   API: {url}/docs   Ctrl-C stops it",
        soft_wrap=True,
    )
