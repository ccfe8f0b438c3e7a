"""`raptor fake-provider`: all model providers, faked on one port of this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from app.errors import OperatorError

console = Console()

TOKENIZER = "toktok"


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel="Run the service", name="fake-provider")(fake_provider)


def fake_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8100,
    seed: Annotated[int, typer.Option(min=0, help="A different seed gives different answers and vectors.")] = 0,
    latency: Annotated[float, typer.Option(min=0, help="Minimum seconds from a request to its answer.")] = 0.0,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute and key.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute and key.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Concurrent calls per key.")] = None,
) -> None:
    """Serve the APIs of all providers with made-up answers, to try the pipeline and its failures without paying."""
    try:
        from fake_provider import CannotListen, serve
    except ModuleNotFoundError as missing:
        if missing.name != TOKENIZER:
            raise
        raise OperatorError(
            "The fake provider counts tokens with a package that is not installed: pip install toktok-rs"
        ) from missing
    try:
        serve(
            host,
            port,
            announce=announce,
            seed=seed,
            latency_s=latency,
            rpm=rpm,
            tpm=tpm,
            concurrency=concurrency,
        )
    except CannotListen as error:
        raise typer.BadParameter(str(error), param_hint="--port") from error


def announce(url: str) -> None:
    console.print(f"The [bold]fake provider[/] listens on [link={url}]{url}[/link]   Ctrl-C stops it", soft_wrap=True)
    console.print("To send all calls there (any key will do):", soft_wrap=True)
    console.print(f"  export RAPTOR_PROVIDER_BASE_URL_OVERRIDE={url}", highlight=False, soft_wrap=True)
    console.print(f"Received calls: curl {url}/_stats   Failures to order: docs/fake-provider.md", soft_wrap=True)
