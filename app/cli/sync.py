"""Commands that keep a dataset equal to a folder: sync, watch."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.cli.options import DatasetId, Key, MaxCost, Refine, Url
from app.cli.output import show_estimate
from app.cli.plans import show_plan
from app.cli.progress import Sending, ingest_with_progress
from app.client import running_service, service_client, some_service
from interfaces_adaptor.clients.service_client import ServiceClient
from interfaces_adaptor.gateways.folders.rules import Links, WalkRules

if TYPE_CHECKING:
    from app.sync import Comparison

console = Console()

Folder = Annotated[Path, typer.Argument(help="The folder whose Markdown the dataset is to be equal to.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking, also more than a tenth.")]
NewRoot = Annotated[
    bool, typer.Option("--new-root", help="This folder takes the place of the one that the dataset followed so far.")
]
Tag = Annotated[list[str] | None, typer.Option(help="A tag for every document that is sent; may be repeated.")]
BuildTree = Annotated[bool, typer.Option(help="Build the tree over the dataset.")]
Ignore = Annotated[
    list[str] | None,
    typer.Option(help="A pattern to leave out, as in .gitignore; `!name` takes something back. May be repeated."),
]
Gitignore = Annotated[bool, typer.Option(help="Leave out what .gitignore files in the folder name.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Take files and folders whose names begin with a dot.")]
FollowLinks = Annotated[
    Links,
    typer.Option(help="Symbolic links: leave them out, follow those that stay in the folder, or follow all."),
]
MaxBytes = Annotated[int, typer.Option(min=1, help="Size in bytes above which a file is not taken.")]
MaxFiles = Annotated[int, typer.Option(min=1, help="Refuse folders with more Markdown files.")]
Debounce = Annotated[float, typer.Option(min=0.05, help="Seconds without a change before changes are sent.")]
Rescan = Annotated[float, typer.Option(min=1, help="Seconds after which the folder is compared in any case.")]
DEFAULT = WalkRules()


def add_to(app: typer.Typer) -> None:
    for command in (sync, watch):
        app.command(rich_help_panel="Use a service")(command)


def sync(
    folder: Folder,
    dataset: DatasetId = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done and what it would cost.")] = False,
    yes: Yes = False,
    new_root: NewRoot = False,
    build_tree: BuildTree = True,
    tag: Tag = None,
    refine: Refine = None,
    max_cost: MaxCost = None,
    ignore: Ignore = None,
    gitignore: Gitignore = True,
    hidden: Hidden = False,
    links: FollowLinks = DEFAULT.links,
    max_bytes: MaxBytes = DEFAULT.max_bytes,
    max_files: MaxFiles = DEFAULT.max_files,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name every file.")] = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Make a dataset equal to a folder: send what is new or changed, move what moved, delete what is gone.

    A document is known by its path in the folder, and keeps its tags. Other documents of the dataset stay as they are.
    Ends with 1 if a file could not be taken, although it should; its document then stays as it was.
    """
    from app.sync import compared
    from interfaces_adaptor.gateways.folders.reading import FolderReader

    rules = WalkRules(gitignore, hidden, links, tuple(ignore or ()), max_bytes, max_files)
    sending = Sending(build_tree, tag or (), refine, max_cost)
    with service_client(url, api_key) as client:
        comparison = compared(client, FolderReader(folder.resolve(), rules), dataset, new_root=new_root)
        show_plan(console, comparison, everything=verbose)
        if dry_run:
            price(client, comparison, sending)
            return
        done = carry_out(client, comparison, sending, yes=yes)
    raise typer.Exit(0 if done and not comparison.folder.unread else 1)


def carry_out(client: ServiceClient, comparison: Comparison, sending: Sending, *, yes: bool) -> bool:
    """As one batch; False if anything was refused or failed. Raises DeletesMuch."""
    from app.sync import DeletesMuch

    if comparison.equal:
        return True
    plan = comparison.plan
    if plan.deletes_much and not yes:
        if not sys.stdin.isatty():
            raise DeletesMuch(plan)
        typer.confirm(f"Delete {len(plan.gone)} of {plan.documents} documents?", abort=True)
    files = comparison.files_to_send()
    return ingest_with_progress(client, console, comparison.dataset, files, sending, comparison.changes)


def price(client: ServiceClient, comparison: Comparison, sending: Sending) -> None:
    from app.sync import documents_to_price

    documents = documents_to_price(comparison)
    if documents:
        show_estimate(client.estimate(comparison.dataset, documents=documents, **sending.options))
    elif comparison.plan.gone:
        console.print("Nothing is sent; what a tree says of deleted files is written anew.")
    else:
        console.print("Nothing to pay.")


def watch(
    folder: Folder,
    dataset: DatasetId = "default",
    debounce: Debounce = 1.0,
    rescan: Rescan = 3600.0,
    yes: Yes = False,
    new_root: NewRoot = False,
    build_tree: BuildTree = True,
    tag: Tag = None,
    refine: Refine = None,
    max_cost: MaxCost = None,
    ignore: Ignore = None,
    gitignore: Gitignore = True,
    hidden: Hidden = False,
    links: FollowLinks = DEFAULT.links,
    max_bytes: MaxBytes = DEFAULT.max_bytes,
    max_files: MaxFiles = DEFAULT.max_files,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Keep a dataset equal to a folder while both live: begins with a sync, then follows every change.

    A service that stops is waited for. What would delete more than a tenth of the dataset is left undone and told,
    unless --yes allows it. Ctrl-C stops watching; what was sent continues to be processed.
    """
    from app.watch import Watch, Watcher
    from interfaces_adaptor.gateways.folders.reading import FolderReader

    rules = WalkRules(gitignore, hidden, links, tuple(ignore or ()), max_bytes, max_files)
    sending = Sending(build_tree, tag or (), refine, max_cost)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watched = Watch(FolderReader(folder.resolve(), rules), dataset, sending, new_root, yes, debounce, rescan)
    try:
        with some_service(url, api_key):
            Watcher(console, watched, lambda: running_service(url, api_key)).run()
    except KeyboardInterrupt:
        console.print("Stopped watching.")
