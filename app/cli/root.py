"""The command line: commands that run the service, and commands that use one.

Modules of commands import at their top only what every command needs. A server, a database driver or numpy is imported
by the command that uses it: `raptor --help` and shell completion answer in a fraction of a second.
"""

from __future__ import annotations

import sys

import typer

from app.cli import answers, costs, datasets, fake_provider, keys, processes, sync
from app.errors import OperatorError

app = typer.Typer(
    name="raptor",
    help="Markdown in, a RAPTOR tree out: run the service, fill it, ask it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
for commands in (processes, datasets, sync, costs, answers, fake_provider):
    commands.add_to(app)
app.add_typer(keys.app, name="keys", rich_help_panel="Maintain a service")


def main() -> None:
    try:
        app()
    except Exception as error:
        if not is_expected(error):
            raise
        from rich.console import Console
        from rich.markup import escape

        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


def is_expected(error: Exception) -> bool:
    """Whether a person can do something about it: then they see its message, and no traceback."""
    from interfaces_adaptor.clients.service_client import ServiceError, ServiceUnreachable
    from interfaces_adaptor.gateways.folders.walk import FolderRefused
    from services.errors import RaptorError

    if isinstance(error, OperatorError | RaptorError | ServiceError | ServiceUnreachable | FolderRefused):
        return True
    from embedded_postgres.errors import EmbeddedPostgresError
    from infra.db.migrate import UnsuitableDatabase

    return isinstance(error, EmbeddedPostgresError | UnsuitableDatabase)
