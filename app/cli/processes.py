"""Commands that run the service or a part of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from app.settings import Settings

console = Console()

Host = Annotated[str | None, typer.Option(help="Address to listen on (or RAPTOR_HOST).", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port; 0 picks a free one (or RAPTOR_PORT).", show_default="8000")]


def add_to(app: typer.Typer) -> None:
    for command in (serve, api, worker, migrate):
        app.command(rich_help_panel="Run the service")(command)
    app.command(rich_help_panel="Maintain a service", name="doctor")(check)
    app.command(rich_help_panel="Use a service")(demo)


def serve(host: Host = None, port: Port = None) -> None:
    """Run everything: the API, a worker and, without DATABASE_URL, an embedded Postgres in RAPTOR_DATA_DIR."""
    from app.database import owned_database
    from app.logging import configure_logging
    from app.serve import serve as run_server
    from app.settings import load_settings

    settings = listening_on(load_settings(), host, port)
    configure_logging(settings.log, "serve")
    with owned_database(settings) as url:
        asyncio.run(run_server(settings, url, with_worker=True, announce=announce))


def api(host: Host = None, port: Port = None) -> None:
    """Run only the API; workers run elsewhere with the same DATABASE_URL."""
    from app.database import shared_database
    from app.logging import configure_logging
    from app.serve import serve as run_server
    from app.settings import load_settings

    settings = listening_on(load_settings(), host, port)
    configure_logging(settings.log, "api")
    url = shared_database(settings)
    asyncio.run(run_server(settings, url, with_worker=False, announce=announce))


def worker(
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run one worker; start as many as you like with the same DATABASE_URL."""
    from app.database import shared_database
    from app.logging import configure_logging
    from app.settings import load_settings
    from app.worker import run_worker

    settings = load_settings()
    configure_logging(settings.log, "worker")
    url = shared_database(settings)
    asyncio.run(run_worker(settings, url, until_stdin_closes=until_stdin_closes))


def migrate() -> None:
    """Migrate the database to the schema of this version. `raptor serve` does this itself."""
    from app.database import bring_up_to_date, joined_database
    from app.settings import load_settings

    with joined_database(load_settings()) as url:
        asyncio.run(bring_up_to_date(url))
    console.print("The database has the schema of this version.")


def check(
    recall: Annotated[
        bool, typer.Option("--recall", help="Measure the recall of the vector indexes and tune their search breadth.")
    ] = False,
) -> None:
    """Check what is configured, reachable or missing, and say how to fix it."""
    from app import doctor
    from app.settings import load_settings

    raise typer.Exit(0 if doctor.examine(load_settings(), console, recall=recall) else 1)


def demo(
    samples: Annotated[
        Path | None, typer.Argument(help="A folder of Markdown to use instead of the sample handbook.")
    ] = None,
) -> None:
    """Turn the sample handbook into a tree and ask it two questions. Needs no key and costs nothing."""
    from app import demo as demonstration
    from app.settings import load_settings

    demonstration.run(load_settings(), console, samples)


def listening_on(settings: Settings, host: str | None, port: int | None) -> Settings:
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    return settings.model_copy(update={"http": settings.http.model_copy(update=given)})


def announce(url: str) -> None:
    console.print(
        f"[bold]raptor-service[/] listens on [link={url}]{url}[/link]   API: {url}/docs   Ctrl-C stops it",
        soft_wrap=True,
    )
