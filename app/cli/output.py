"""What commands print: search results, a tree's outline, generations, jobs, citations, an estimate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree as RichTree

from interfaces_adaptor.clients.service_client import ServiceClient

console = Console()

TREE_STATUS = {
    "none": "no tree yet",
    "building": "the first tree is being built",
    "live": "the tree holds all documents",
    "behind": "documents have changed since; the tree of before answers until the next one is built",
}


def show_hits(found: dict[str, Any]) -> None:
    for number, hit in enumerate(found["results"], 1):
        place = " > ".join(hit["heading_path"]) or hit["title"] or ""
        where = (
            f"{hit['doc_id']} [{hit['start']}:{hit['end']}]" if hit["doc_id"] else f"{len(hit['chunk_ids'])} passages"
        )
        head = f"[bold]{number}[/] [cyan]{hit['kind']}[/] level {hit['level']}  score {hit['score']:.3f}"
        head += "  [yellow]written without its model[/]" if hit["degraded"] else ""
        console.print(f"{head}  {escape(place)}  [dim]{escape(where)}[/]", highlight=False)
        console.print(escape(shortened(hit["text"], 400)), highlight=False)
        console.print()
    if not found["results"]:
        console.print("No results.")
    console.print(f"[dim]{found['mode']}: {found['reason']}. {found['took_ms']} ms[/]")


def show_datasets(found: Iterable[dict[str, Any]]) -> None:
    table = Table("dataset", "documents", "passages", "tree")
    for one in found:
        state = "; ".join(tree_state(one))
        table.add_row(escape(one["dataset_id"]), f"{one['documents']:,}", f"{one['chunks']:,}", escape(state))
    console.print(table)


def tree_state(dataset: dict[str, Any]) -> list[str]:
    """How good the tree is now, in sentences without a stop; what is as it should be is not told."""
    told = [TREE_STATUS[dataset["tree_status"]]]
    if waiting := dataset["summaries_waiting"]:
        share = dataset["summaries_waiting_share"]
        told.append(f"{waiting} summaries ({share:.0%}) are hidden until they are written anew")
    if dataset["lag"]:
        told.append(f"a summary's text may miss up to {dataset['lag']:.0%} of the passages under it")
    if (dataset["regret"] or 0) > 0:
        told.append(f"{dataset['regret']:.1%} more passages than at first would be grouped otherwise by a full rebuild")
    if dataset["degraded"]:
        told.append(f"{dataset['degraded']} summaries were written without their model (raptor retry-nodes)")
    return told


def show_tree(client: ServiceClient, dataset: str, depth: int) -> None:
    page = client.tree(dataset, limit=1)
    levels = page["levels"]
    counts = ", ".join(f"{level['nodes']} at level {level['level']}" for level in levels)
    console.print(f"[bold]{escape(dataset)}[/]: {counts}", highlight=False)
    for told in tree_state(client.dataset(dataset)):
        console.print(f"  [dim]{escape(told)}[/]", highlight=False)
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
    hidden = "hidden until it is written anew" if node["level"] else "hidden, its text is replaced or deleted"
    shown = f"[yellow]{hidden}[/]" if node["stale"] else escape(title)
    below = f" [dim]({node['children']})[/]" if node["children"] else ""
    return f"{shown}{below}"


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


def show_generations(found: list[dict[str, Any]]) -> None:
    table = Table("no.", "state", "reason", "live from", "documents", "new/changed/gone", "written", "dollars")
    for one in found:
        changes = ("?" if one[name] is None else str(one[name]) for name in ("added", "changed", "removed"))
        table.add_row(
            str(one["generation"]),
            one["state"],
            one["reason"].replace("_", " ") + (f" to {one['restored']}" if one["restored"] else ""),
            one["published_at"][:19],
            str(one["documents"]),
            "/".join(changes),
            f"{one['written']} of {one['summaries']}",
            f"{one['cost']:.4f}",
        )
    console.print(table)


def shortened(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def place_of(span: dict[str, Any]) -> str:
    """Where a citation can be looked up: file, lines, heading."""
    if span["first_line"] is None:
        return f"{span['doc_id']} [{span['start']}:{span['end']}]"
    first, last = span["first_line"], span["last_line"]
    lines = f"{first}-{last}" if last > first else f"{first}"
    return f"{span['file'] or span['doc_id']}:{lines} {' > '.join(span['heading_path'])}".rstrip()


def show_citations(answer: dict[str, Any], retrieval: dict[str, Any], usage: dict[str, Any]) -> None:
    shown: set[tuple[int, int]] = set()
    for statement in answer["statements"]:
        for citation in statement["citations"]:
            for span in citation["spans"]:
                if (citation["number"], span["start"]) in shown:
                    continue
                shown.add((citation["number"], span["start"]))
                place = place_of(span)
                console.print(
                    f"[bold][{citation['number']}][/] [dim]{escape(place)}[/] {escape(shortened(span['text'], 200))}",
                    highlight=False,
                )
        what = {"unresolved": "cites a source that does not exist", "uncited": "cites no source"}.get(statement["mark"])
        if what is None and statement["unsupported"]:
            what = f"contains what its sources do not: {', '.join(statement['unsupported'])}"
        if what is not None:
            console.print(f"[yellow]Unsupported ({escape(what)}):[/] {escape(statement['text'])}", highlight=False)
    cut = ", cut off at the model's limit" if answer["truncated"] else ""
    console.print(
        f"[dim]{answer['kind']} by {escape(retrieval['model'])}{cut}, {retrieval['mode']},"
        f" ${usage['cost']:.4f}, {answer['took_ms']} ms[/]",
        highlight=False,
    )


def show_estimate(found: dict[str, Any]) -> None:
    total = found["total"]
    for warning in found["warnings"]:
        console.print(f"[yellow]{escape(warning)}[/]", highlight=False)
    given = f"{found['documents']} documents ({found['unchanged']} unchanged), " if found["documents"] else ""
    console.print(f"{given}{found['chunks']} chunks, {found['new_chunks']} to be indexed.", highlight=False)
    levels = ", ".join(f"{level['summaries']} at level {level['level']}" for level in found["levels"])
    console.print({"built": f"Summaries: {levels}.", "unchanged": "The tree does not change."}.get(found["tree"], ""))
    table = Table("stage", "model", "calls", "tokens in", "tokens out", "dollars", "minutes")
    for line in found["lines"]:
        table.add_row(
            line["stage"],
            f"{line['provider']}/{line['model']}",
            f"{line['calls']:,}",
            f"{line['input_tokens']:,}",
            f"{line['output_tokens']:,}",
            "unknown" if line["cost"] is None else f"{line['cost']:.4f}",
            f"{line['minutes']:.1f}",
        )
    cost = f"{total['known_cost']:.4f}" + (" plus unknown" if total["cost"] is None else "")
    tokens = (f"{total['input_tokens']:,}", f"{total['output_tokens']:,}")
    table.add_row("all", "", f"{total['calls']:,}", *tokens, cost, f"{total['minutes']:.1f}")
    console.print(table)
    if found["unpriced"]:
        console.print(f"No price is known for {', '.join(found['unpriced'])}; set it in RAPTOR_MODELS_FILE.")
    if not found["lines"]:
        console.print("Nothing to pay: the models are built in, or there is nothing to do.")
