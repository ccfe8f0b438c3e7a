"""`raptor keys`: who may use the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from services.access import ApiKeys

app = typer.Typer(help="Create, list and revoke the API keys of this service.", no_args_is_help=True)
console = Console()

Result = TypeVar("Result")


def with_access(action: Callable[[ApiKeys], Awaitable[Result]]) -> Result:
    from app.container import open_container
    from app.database import joined_database
    from app.settings import load_settings

    settings = load_settings()

    async def act(url: str) -> Result:
        async with open_container(settings, url) as container:
            return await action(container.access)

    with joined_database(settings) as url:
        return asyncio.run(act(url))


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Who or what the key is for.")],
    tenant: Annotated[str, typer.Option(help="The tenant whose data it gives access to; created if new.")] = "default",
) -> None:
    """Create a key and print it. It is shown only this once."""
    console.print(with_access(lambda access: access.create(tenant, name)), highlight=False, soft_wrap=True)


@app.command(name="list")
def list_keys() -> None:
    """List all keys, without their secret part."""
    table = Table("id", "prefix", "name", "tenant", "created", "last used", "revoked")
    for key in with_access(lambda access: access.all()):
        times = (key.created_at, key.last_used_at, key.revoked_at)
        shown = [moment.strftime("%Y-%m-%d %H:%M") if moment else "" for moment in times]
        table.add_row(key.key_id, key.prefix, key.name, key.tenant, *shown)
    console.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `raptor keys list` shows it.")]) -> None:
    """Revoke a key; it stops working within seconds."""
    with_access(lambda access: access.revoke(key_id))
    console.print(f"Key {key_id} is revoked.")
