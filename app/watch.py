"""Keeps a dataset equal to a folder while both live: a sync at the start, after every change, and from time to time,
because events can be missed. Each is a whole comparison: nothing depends on which events came."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from watchfiles import Change
from watchfiles import watch as changes_in

from app.cli.plans import counts, show_not_taken
from app.cli.progress import SHOWN, Sending, bars, transfer
from app.sync import Comparison, DeletesMuch, compared
from interfaces_adaptor.clients.service_client import ServiceClient, ServiceError, ServiceUnreachable
from interfaces_adaptor.gateways.folders.ignoring import GITIGNORE
from interfaces_adaptor.gateways.folders.reading import FolderReader, identified
from interfaces_adaptor.gateways.folders.walk import FolderRefused, NotTaken

LOOK_S = 0.5  # how often it is looked whether a comparison is due
RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Watch:
    """`debounce_s` is how long nothing has to change before changes are sent, `rescan_s` how long it may be until the
    folder is compared in any case."""

    reader: FolderReader
    dataset: str
    sending: Sending
    new_root: bool
    yes: bool
    debounce_s: float
    rescan_s: float


class Watcher:
    def __init__(
        self, console: Console, watch: Watch, service: Callable[[], AbstractContextManager[ServiceClient]]
    ) -> None:
        """`service` is asked for anew each time: one that was started again may listen elsewhere."""
        self._console = console
        self._watch = watch
        self._service = service
        self._due = 0.0
        self._told = ""
        self._not_taken: tuple[NotTaken, ...] = ()

    def run(self) -> None:
        """Until it is interrupted. Raises FolderRefused for what is no folder at the beginning."""
        identified(self._watch.reader.root)
        self._tell(f"Watching {self._watch.reader.root} for {self._watch.dataset}. Ctrl-C stops it.")
        while True:
            try:
                self._follow()
            except (FolderRefused, FileNotFoundError) as error:
                # The folder is away: it may come back, and has to be watched anew then.
                self._tell_once(str(error))
                time.sleep(RETRY_S)

    def _follow(self) -> None:
        """As long as the folder is the one that is watched. The first look comes when changes are listened for, so
        that none falls between a comparison and the listening."""
        watch = self._watch
        beginning = identified(watch.reader.root)
        self._due = 0.0
        listening = changes_in(
            watch.reader.root,
            watch_filter=self._matters,
            step=round(watch.debounce_s * 1000),
            debounce=round(watch.debounce_s * 10_000),
            rust_timeout=round(LOOK_S * 1000),
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        for changed in listening:
            if identified(watch.reader.root) != beginning:
                raise FolderRefused(f"{watch.reader.root} was exchanged.")
            if changed or time.monotonic() >= self._due:
                self._sync()

    def _matters(self, _change: Change, path: str) -> bool:
        """Repositories and editors write much into hidden folders, which are not taken."""
        parts = Path(path).relative_to(self._watch.reader.root).parts
        hidden = any(part.startswith(".") and part != GITIGNORE for part in parts)
        return self._watch.reader.rules.hidden or not hidden

    def _sync(self) -> None:
        """Whatever fails is told, and tried again."""
        try:
            with self._service() as client:
                self._bring(client)
            self._due = time.monotonic() + self._watch.rescan_s
        except (ServiceUnreachable, ServiceError) as error:
            self._due = time.monotonic() + (self._watch.rescan_s if final(error) else RETRY_S)
            self._tell_once(str(error))

    def _bring(self, client: ServiceClient) -> None:
        watch = self._watch
        comparison = compared(client, watch.reader, watch.dataset, new_root=watch.new_root)
        if comparison.folder.not_taken != self._not_taken:
            self._not_taken = comparison.folder.not_taken
            show_not_taken(self._console, self._not_taken, everything=False)
        if comparison.equal:
            self._told = ""
            return
        if comparison.plan.deletes_much and not watch.yes:
            self._tell_once(str(DeletesMuch(comparison.plan)))
            comparison = replace(comparison, plan=replace(comparison.plan, gone=(), emptied=()))
            if comparison.plan.nothing_to_do:
                return
        with bars(Console(quiet=True)) as progress:
            files = comparison.files_to_send()
            committed, refused = transfer(client, watch.dataset, files, watch.sending, comparison.changes, progress)
        job = f", job {committed['job_id']}" if committed["job_id"] else ""
        self._tell(f"{counts(comparison.plan)}: {', '.join(names_in(comparison))}{job}")
        for name, reason in refused:
            self._tell(f"{name}: {reason}")

    def _tell_once(self, told: str) -> None:
        if told != self._told:
            self._told = told
            self._tell(told)

    def _tell(self, told: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {escape(told)}", highlight=False, soft_wrap=True)


def final(error: Exception) -> bool:
    """Whether trying again soon would end the same."""
    return isinstance(error, ServiceError) and error.status < 500


def names_in(comparison: Comparison) -> list[str]:
    plan = comparison.plan
    names = [*plan.to_send, *(move.path for move in plan.moved), *(document.source for document in plan.gone)]
    return names[:SHOWN] + (["…"] if len(names) > SHOWN else [])
