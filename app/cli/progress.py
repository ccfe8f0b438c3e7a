"""Progress of an ingest: a bar for what was sent, one for what is indexed, one for the tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from interfaces_adaptor.clients.service_client import TERMINAL, ServiceClient, ServiceError, ServiceUnreachable

POLL_S = 0.3
SHOWN = 20  # names of a kind that are listed


@dataclass(frozen=True, slots=True)
class Sending:
    """How files are sent: options of the upload, `tags` of every document, and the `limits` of what it may cost."""

    build_tree: bool = True
    tags: Sequence[str] = ()
    refine: str | None = None
    max_cost: float | None = None

    @property
    def options(self) -> dict[str, Any]:
        return {"build_tree": self.build_tree} | ({"refine": self.refine} if self.refine else {})

    @property
    def limits(self) -> dict[str, Any]:
        return {} if self.max_cost is None else {"max_cost": self.max_cost}


def ingest_with_progress(
    client: ServiceClient,
    console: Console,
    dataset: str,
    files: Sequence[tuple[Path, str]],
    sending: Sending,
    changes: Callable[[], dict[str, Any]] = dict,
) -> bool:
    """Sends the files as one upload, follows its job and reports the outcome; False if anything was refused or
    failed. `changes` are asked for when all is sent, and are made with it."""
    with bars(console) as progress:
        try:
            committed, refused = transfer(client, dataset, files, sending, changes, progress)
        except KeyboardInterrupt:
            progress.stop()
            console.print("\nStopped. Nothing was changed.")
            return False
        try:
            job = follow(client, progress, committed["job_id"])
        except KeyboardInterrupt:
            progress.stop()
            console.print("\nStopped waiting. Uploaded files are safe and continue to be processed; see `raptor jobs`.")
            return False
    problems = refused
    if job is not None and job["status"] != "succeeded":
        error = (job["error"] or {}).get("message", job["status"])
        problems = [*refused, (f"{committed['upserted_docs']} files", error)]
        committed = committed | {"upserted_docs": 0, "documents": []}
    report(console, committed, problems)
    return not problems


def transfer(
    client: ServiceClient,
    dataset: str,
    files: Sequence[tuple[Path, str]],
    sending: Sending,
    changes: Callable[[], dict[str, Any]],
    progress: Progress,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The answer to the commit, and the files that were refused, with the reason; after an error nothing is changed."""
    upload_id = client.begin_upload(dataset, **sending.options)
    try:
        sent = progress.add_task("send", total=len(files), note="", visible=bool(files))
        refused = send(client, upload_id, files, sending.tags, progress, sent)
        return client.commit_upload(upload_id, **sending.limits, **changes()), refused
    except ServiceUnreachable:
        raise
    except BaseException:
        client.discard_upload(upload_id)
        raise


def send(
    client: ServiceClient,
    upload_id: str,
    files: Sequence[tuple[Path, str]],
    tags: Sequence[str],
    progress: Progress,
    task: TaskID,
) -> list[tuple[str, str]]:
    """Adds the files to the upload; those that were refused, with the reason."""
    refused: list[tuple[str, str]] = []
    for path, name in files:
        progress.update(task, note=escape(name))
        try:
            client.add_to_upload(upload_id, name.rpartition("/")[2], path.read_bytes(), source=name, tags=tags)
        except (ServiceError, OSError) as error:
            refused.append((name, str(error)))
        progress.advance(task)
    progress.update(task, note="")
    return refused


def follow(client: ServiceClient, progress: Progress, job_id: str | None) -> dict[str, Any] | None:
    """The job once it has ended; None where there is none. One bar shows how far it is with the files, one with the
    tree."""
    if job_id is None:
        return None
    indexed = progress.add_task("index", total=1.0, note="")
    grown = progress.add_task("tree", total=1.0, note="", visible=False)
    while True:
        job = client.job(job_id)
        ended, for_tree = job["status"] in TERMINAL, job["stage"] not in INDEXING
        progress.update(indexed, completed=1.0 if for_tree else job["progress"], note="" if for_tree else job["stage"])
        if for_tree and not ended:
            progress.update(grown, visible=True, completed=job["progress"], note=tree_note(job))
        if ended:
            progress.update(grown, completed=1.0, note="")
            return job
        time.sleep(POLL_S)


INDEXING = {"queued", "starting", "chunk", "refine", "embed"}


def tree_note(job: dict[str, Any]) -> str:
    detail = job["detail"]
    if job["stage"] == "waiting_for_tree":
        return "waiting for more uploads"
    done = f" {detail['done']}/{detail['planned']}" if "planned" in detail and "done" in detail else ""
    left = f", {detail['seconds_left']:.0f} s left on this level" if detail.get("seconds_left", 0) >= 1 else ""
    return f"{job['stage']}{done}{left}"


def bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>6}"),
        BarColumn(bar_width=40),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
    )


def report(console: Console, committed: dict[str, Any], problems: Sequence[tuple[str, str]]) -> None:
    """What came of it. A document that was there before is named: its text of before is not served any more."""
    parts = [f"{committed['upserted_docs']} done"]
    counts = (("skipped_docs", "unchanged"), ("moved_docs", "moved"), ("deleted_docs", "deleted"))
    parts += [f"{committed[name]} {told}" for name, told in counts if committed[name]]
    console.print(", ".join(parts) + (f", [red]{len(problems)} failed[/]:" if problems else "."))
    for name, problem in problems:
        console.print(f"  {escape(name)}: {escape(problem)}", highlight=False)
    replaced = [one["source"] or one["document_id"] for one in committed["documents"] if one["replaced"]]
    for name in replaced[:SHOWN]:
        console.print(f"  replaced {escape(name)}", highlight=False)
    if len(replaced) > SHOWN:
        console.print(f"  and {len(replaced) - SHOWN} more replaced")
