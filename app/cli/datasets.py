"""Commands that fill a dataset and look into it: ingest, retrieve, tree, generations, rollback, jobs, retry-nodes,
delete, undelete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.options import DatasetId, Key, MaxCost, Refine, Root, Url
from app.cli.output import show_datasets, show_generations, show_hits, show_jobs, show_tree
from app.cli.plans import show_not_taken
from app.cli.progress import Sending, ingest_with_progress
from app.client import service_client

console = Console()


def add_to(app: typer.Typer) -> None:
    for command in (ingest, retrieve, tree, datasets, generations, rollback, jobs, delete, undelete):
        app.command(rich_help_panel="Use a service")(command)
    app.command(rich_help_panel="Use a service", name="retry-nodes")(retry_nodes)


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Markdown files, or folders with Markdown files.", exists=True)],
    dataset: DatasetId = "default",
    build_tree: Annotated[bool, typer.Option(help="Build the tree over the dataset.")] = True,
    tag: Annotated[list[str] | None, typer.Option(help="A tag for every document; may be repeated.")] = None,
    refine: Refine = None,
    max_cost: MaxCost = None,
    root: Root = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Upload Markdown to a dataset and wait for its tree. Unchanged files cost nothing.

    A document is known by its path below the working directory, or below --root. What was there under this path is
    replaced; its tags stay unless --tag gives others. `raptor sync` also deletes what is gone and follows what moved.

    Ctrl-C stops waiting but does not cancel the work. A service that was started for this command continues the next
    time one is started.
    """
    from interfaces_adaptor.gateways.folders.named import named_files
    from interfaces_adaptor.gateways.folders.rules import WalkRules

    files, not_taken = named_files(paths, root or Path(), WalkRules())
    show_not_taken(console, not_taken, everything=False)
    if not files:
        raise typer.BadParameter("There is no Markdown file.", param_hint="PATHS")
    with service_client(url, api_key) as client:
        sending = Sending(build_tree, tag or (), refine, max_cost)
        done = ingest_with_progress(client, console, dataset, [(file.at, file.path) for file in files], sending)
    raise typer.Exit(0 if done else 1)


def retrieve(
    query: Annotated[str, typer.Argument(help="The question.")],
    dataset: DatasetId = "default",
    mode: Annotated[str, typer.Option(help="auto, collapsed, tree_traversal, leaves or digest.")] = "auto",
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="Maximum number of results.")] = 5,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum number of tokens in all results.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Search a dataset and show what is found, with its place in the source documents."""
    options: dict[str, Any] = {"mode": mode, "top_k": top_k} | ({"max_tokens": max_tokens} if max_tokens else {})
    with service_client(url, api_key) as client:
        show_hits(client.retrieve(dataset, query, **options))


def tree(
    dataset: DatasetId = "default",
    depth: Annotated[int, typer.Option(help="How many levels to show below the root.")] = 2,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Print the state of a dataset's tree, and its outline."""
    with service_client(url, api_key) as client:
        show_tree(client, dataset, depth)


def generations(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    url: Url = None,
    api_key: Key = None,
) -> None:
    """List what a dataset served before and what changed, newest first."""
    with service_client(url, api_key) as client:
        show_generations(list(client.generations(dataset)))


def rollback(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    generation: Annotated[int, typer.Argument(help="The generation to serve again, as `raptor generations` lists it.")],
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Serve an earlier generation again: its tree and its documents.

    Documents that came later are deleted, not erased; those that were deleted since come back. No model is called.
    """
    with service_client(url, api_key) as client:
        done = client.roll_back(dataset, generation)
    if done["unchanged"]:
        console.print(f"Generation {generation} is what is served: nothing to do.", highlight=False)
    else:
        console.print(f"Generation {generation} is served again, as generation {done['generation']}.", highlight=False)


def datasets(url: Url = None, api_key: Key = None) -> None:
    """List datasets, with the state of their trees."""
    with service_client(url, api_key) as client:
        show_datasets(client.datasets())


def jobs(
    job_id: Annotated[str | None, typer.Argument(help="Show this job in full.")] = None,
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    cancel: Annotated[bool, typer.Option(help="Cancel the job.")] = False,
    retry: Annotated[bool, typer.Option(help="Continue a failed or cancelled job.")] = False,
    max_cost: Annotated[float | None, typer.Option(help="With --retry: a new limit in US dollars.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="With --retry: a new limit in tokens.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="With --retry: a new limit in calls.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """List jobs, newest first, or show, cancel or retry one."""
    with service_client(url, api_key) as client:
        if job_id is None:
            show_jobs(client.jobs(limit=30, **({"status": status} if status else {})))
            return
        if cancel:
            client.cancel(job_id)
        if retry:
            limits = {"max_cost": max_cost, "max_tokens": max_tokens, "max_calls": max_calls}
            given = {name: limit for name, limit in limits.items() if limit is not None}
            job_id = str(client.retry(job_id, **given)["job_id"])
        console.print_json(data=client.job(job_id))


def retry_nodes(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Rewrite the summaries that the model could not write before, and those above them."""
    with service_client(url, api_key) as client:
        job = client.wait_for(str(client.retry_nodes(dataset)["job_id"]))
    if job["status"] != "succeeded":
        error = job["error"] or {}
        console.print(f"[bold red]{job['status']}[/]: {escape(str(error.get('message', '')))}", highlight=False)
        raise typer.Exit(1)
    console.print(f"{job['result']['mended']} rewritten, {job['result']['degraded']} still without their model.")


def delete(
    doc_id: Annotated[str, typer.Argument(help="The document.")],
    dataset: DatasetId = "default",
    hard: Annotated[bool, typer.Option(help="Erase the text and all that was written from it, for good.")] = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Take a document out of retrieval, at once; with --hard there is no way back."""
    with service_client(url, api_key) as client:
        client.delete_document(doc_id, dataset, hard=hard)
    console.print("Erased." if hard else "Deleted. `raptor undelete` brings it back.")


def undelete(
    doc_id: Annotated[str, typer.Argument(help="The document.")],
    dataset: DatasetId = "default",
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Bring a document back that was deleted without --hard."""
    with service_client(url, api_key) as client:
        back = client.undelete_document(doc_id, dataset)["job_id"] is not None
    console.print("It is back." if back else "It is not deleted.")
