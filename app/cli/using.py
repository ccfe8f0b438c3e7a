"""Commands that use a service: put documents in, ask, look at the tree, follow jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree as RichTree

from app.cli.progress import ingest_with_progress
from app.settings import load_settings
from app.using_service import service
from interfaces_adaptor.clients.service_client import ServiceClient, markdown_files

console = Console()

Url = Annotated[
    str | None, typer.Option(envvar="RAPTOR_URL", help="A running service; by default the one of this data folder.")
]
Key = Annotated[
    str | None, typer.Option("--api-key", envvar="RAPTOR_API_KEY", help="A key of that service.", show_envvar=True)
]
Refine = Annotated[
    Literal["off", "heuristic", "llm"] | None,
    typer.Option(
        help="Leave noise out of the passages: not, by patterns, or as the chat model says too. By default as the"
        " service is set: llm where the chat model has a key."
    ),
]
DatasetId = Annotated[str, typer.Option("--dataset", "-d", help="The dataset.")]


def add_to(app: typer.Typer) -> None:
    for command in (ingest, retrieve, tree, jobs):
        app.command(rich_help_panel="Use it")(command)
    app.command(rich_help_panel="Use it", name="retry-nodes")(retry_nodes)


def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="Markdown files, or folders to take all Markdown from.", exists=True)
    ],
    dataset: DatasetId = "default",
    build_tree: Annotated[bool, typer.Option(help="Build the tree over the dataset.")] = True,
    tag: Annotated[list[str] | None, typer.Option(help="A tag for each document; may be repeated.")] = None,
    refine: Refine = None,
    max_cost: Annotated[
        float | None, typer.Option(help="US dollars that each file's indexing and tree may take.")
    ] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Put Markdown into a dataset and wait for its tree. Unchanged files cost nothing.

    Ctrl-C stops the waiting, not the work: a running service goes on, and one that was started for this command goes on
    the next time.
    """
    files = markdown_files(paths)
    if not files:
        raise typer.BadParameter("There is no .md or .markdown file in there.", param_hint="PATHS")
    with service(load_settings(), url, api_key) as client:
        done = ingest_with_progress(
            client, console, dataset, files, build_tree=build_tree, tags=tag or [], refine=refine, max_cost=max_cost
        )
    raise typer.Exit(0 if done else 1)


def retrieve(
    query: Annotated[str, typer.Argument(help="The question.")],
    dataset: DatasetId = "default",
    mode: Annotated[str, typer.Option(help="auto, collapsed, tree_traversal, leaves or digest.")] = "auto",
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many results at most.")] = 5,
    max_tokens: Annotated[int | None, typer.Option(help="How many tokens at most.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Ask a dataset: what is found, with its place in the originals."""
    options: dict[str, Any] = {"mode": mode, "top_k": top_k} | ({"max_tokens": max_tokens} if max_tokens else {})
    with service(load_settings(), url, api_key) as client:
        show_hits(client.retrieve(dataset, query, **options))


def tree(
    dataset: DatasetId = "default",
    depth: Annotated[int, typer.Option(help="Levels below the root that are shown.")] = 2,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Print the outline of a dataset's tree."""
    with service(load_settings(), url, api_key) as client:
        show_tree(client, dataset, depth)


def jobs(
    job_id: Annotated[str | None, typer.Argument(help="One job, whole.")] = None,
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    cancel: Annotated[bool, typer.Option(help="Cancel the job.")] = False,
    retry: Annotated[bool, typer.Option(help="Take a failed or cancelled job up again.")] = False,
    max_cost: Annotated[
        float | None, typer.Option(help="With --retry: US dollars, in place of the job's limit.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="With --retry: tokens, in place of the job's limit.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="With --retry: calls, in place of the job's limit.")] = None,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """List jobs, newest first, or show, cancel or retry one."""
    with service(load_settings(), url, api_key) as client:
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
    """Have summaries that were written without their model written by it, and those above them anew."""
    with service(load_settings(), url, api_key) as client:
        job = client.wait_for(str(client.retry_nodes(dataset)["job_id"]))
    if job["status"] != "succeeded":
        error = job["error"] or {}
        console.print(f"[bold red]{job['status']}[/]: {escape(str(error.get('message', '')))}", highlight=False)
        raise typer.Exit(1)
    console.print(f"{job['result']['mended']} mended, {job['result']['degraded']} left as they were.")


def show_hits(found: dict[str, Any]) -> None:
    for number, hit in enumerate(found["results"], 1):
        place = " > ".join(hit["heading_path"]) or hit["title"] or ""
        where = (
            f"{hit['doc_id']} [{hit['start']}:{hit['end']}]" if hit["doc_id"] else f"{len(hit['chunk_ids'])} passages"
        )
        head = f"[bold]{number}[/] [cyan]{hit['kind']}[/] level {hit['level']}  score {hit['score']:.3f}"
        console.print(f"{head}  {escape(place)}  [dim]{escape(where)}[/]", highlight=False)
        console.print(escape(shortened(hit["text"], 400)), highlight=False)
        console.print()
    if not found["results"]:
        console.print("Nothing was found.")
    console.print(f"[dim]{found['mode']}: {found['reason']}. {found['took_ms']} ms[/]")


def show_tree(client: ServiceClient, dataset: str, depth: int) -> None:
    page = client.tree(dataset, limit=1)
    levels = page["levels"]
    counts = ", ".join(f"{level['nodes']} at level {level['level']}" for level in levels)
    console.print(f"[bold]{escape(dataset)}[/]: {counts}", highlight=False)
    top = levels[0]["level"]
    shown: dict[str, RichTree] = {}
    root: RichTree | None = None
    for node in client.tree_nodes(dataset):
        if node["level"] < top - depth:
            break
        label = outline_label(node)
        parent = shown.get(node["primary_parent"] or "")
        branch = RichTree(label) if parent is None else parent.add(label)
        root = root or branch
        shown[node["node_id"]] = branch
    if root is not None:
        console.print(root)


def outline_label(node: dict[str, Any]) -> str:
    title = node["title"] or " > ".join(node["heading_path"][-2:]) or shortened(node["text"] or "", 60)
    below = f" [dim]({node['children']})[/]" if node["children"] else ""
    stale = " [yellow]stale[/]" if node["stale"] else ""
    return f"{escape(title)}{below}{stale}"


def show_jobs(found: list[dict[str, Any]]) -> None:
    table = Table("id", "type", "dataset", "status", "stage", "progress", "created", "took", "error")
    for job in found:
        took = f"{job['duration_s']:.1f} s" if job["duration_s"] is not None else ""
        error = job["error"]["code"] if job["error"] else ""
        progress = f"{job['progress']:.0%}"
        table.add_row(
            job["id"],
            job["job_type"],
            job["dataset_id"],
            job["status"],
            job["stage"],
            progress,
            job["created_at"][:19],
            took,
            error,
        )
    console.print(table)


def shortened(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
