"""Progress of an ingest: a bar for what was sent, one for what is indexed, one for the tree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from interfaces_adaptor.clients.service_client import TERMINAL, ServiceClient, ServiceError

POLL_S = 0.3
LOOKED_AT = 20


def ingest_with_progress(
    client: ServiceClient,
    console: Console,
    dataset: str,
    files: Sequence[tuple[Path, str]],
    *,
    build_tree: bool,
    tags: Sequence[str],
    refine: str | None = None,
    max_cost: float | None = None,
) -> bool:
    """Sends the files, waits for their jobs and reports the outcome; False if anything was refused or failed."""
    refused: list[tuple[str, str]] = []
    waiting: dict[str, str] = {}
    unchanged = 0
    with bars(console) as progress:
        sent = progress.add_task("send", total=len(files), note="")
        indexed = progress.add_task("index", total=None, note="", visible=False)
        grown = progress.add_task("tree", total=1.0, note="", visible=False)
        try:
            for path, name in files:
                progress.update(sent, note=escape(name))
                try:
                    answer = client.ingest(
                        dataset,
                        path.name,
                        path.read_bytes(),
                        source=name,
                        build_tree="true" if build_tree else "false",
                        tags=tags,
                        refine=refine,
                        max_cost=None if max_cost is None else str(max_cost),
                    )
                except (ServiceError, OSError) as error:
                    refused.append((name, str(error)))
                else:
                    if answer["job_id"] is None or answer["status"] != "queued":
                        unchanged += 1
                    else:
                        waiting[answer["job_id"]] = name
                progress.advance(sent)
            progress.update(sent, note="")
            failed = follow(client, progress, indexed, grown, waiting)
        except KeyboardInterrupt:
            progress.stop()
            console.print("\nStopped waiting. Uploaded files are safe and continue to be processed; see `raptor jobs`.")
            return False
    report(console, len(waiting) - len(failed), unchanged, refused + failed)
    return not refused and not failed


def follow(
    client: ServiceClient, progress: Progress, indexed: TaskID, grown: TaskID, waiting: dict[str, str]
) -> list[tuple[str, str]]:
    """Polls the jobs until each has ended; those that failed, with the reason.

    Jobs end about in the order in which they were sent, and those that wait for the tree end together: it is enough
    to look at the oldest few that are not indexed, and at one that waits.
    """
    failed: list[tuple[str, str]] = []
    to_index, for_tree = list(waiting), list[str]()
    progress.update(indexed, total=len(waiting), visible=bool(waiting))
    while to_index or for_tree:
        looked_at = to_index[:LOOKED_AT] + for_tree[:1]
        ended_before = len(to_index) + len(for_tree)
        for job_id in looked_at:
            job = client.job(job_id)
            ended = job["status"] in TERMINAL
            if ended and job["status"] != "succeeded":
                failed.append((waiting[job_id], (job["error"] or {}).get("message", job["status"])))
            if job_id in for_tree:
                progress.update(grown, visible=True, completed=job["progress"], note=tree_note(job))
                if ended:
                    for_tree.remove(job_id)
            elif ended or job["stage"] == "waiting_for_tree" or job["stage"].startswith("level"):
                to_index.remove(job_id)
                for_tree += [] if ended else [job_id]
        progress.update(indexed, completed=len(waiting) - len(to_index))
        if ended_before == len(to_index) + len(for_tree):
            time.sleep(POLL_S)
    progress.update(grown, completed=1.0, note="")
    return failed


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


def report(console: Console, done: int, unchanged: int, problems: Sequence[tuple[str, str]]) -> None:
    parts = [f"{done} done"] + ([f"{unchanged} unchanged"] if unchanged else [])
    console.print(", ".join(parts) + (f", [red]{len(problems)} failed[/]:" if problems else "."))
    for name, problem in problems:
        console.print(f"  {escape(name)}: {escape(problem)}", highlight=False)
