"""The command line: commands that run the service, and commands that use one."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from app.cli import asking, costs, fake, keys, running, using
from app.database import NoDatabase
from app.serve import RefusesToServe
from app.settings import SettingsError
from embedded_postgres.errors import EmbeddedPostgresError
from infra.db.migrate import UnsuitableDatabase
from interfaces_adaptor.clients.service_client import ServiceError, ServiceUnreachable
from services.errors import RaptorError

app = typer.Typer(
    name="raptor",
    help="Markdown in, a RAPTOR tree out: run the service, fill it, ask it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
running.add_to(app)
using.add_to(app)
costs.add_to(app)
asking.add_to(app)
fake.add_to(app)
app.add_typer(keys.app, name="keys")

# Errors that a person can do something about: their message, and no traceback.
EXPECTED = (
    EmbeddedPostgresError,
    NoDatabase,
    RaptorError,
    RefusesToServe,
    ServiceError,
    ServiceUnreachable,
    SettingsError,
    UnsuitableDatabase,
    fake.TokenizerMissing,
)


def main() -> None:
    try:
        app()
    except EXPECTED as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
