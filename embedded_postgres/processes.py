"""Server processes that outlived their owner: how they are recognised, and how they are ended.

Every process of an embedded server carries the name of its cluster in its command line (`cluster_name`; Postgres shows
it in the titles of its child processes). The name is made of device and inode of the folder: a copy of the files has
another one. A process id in a file proves nothing: after a restart of the machine or container it is another
program's, and a dead process that its parent has not collected (a zombie; containers often have nobody who collects)
still answers to signals.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedded_postgres.account import Account
from embedded_postgres.errors import ServerStartError

POLL_SECONDS = 0.02
# Fast shutdown writes a checkpoint, which takes as long as the disk takes. Immediate shutdown is as safe as a crash.
POSTMASTER_STEPS = ((signal.SIGINT, 120.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
# Without a postmaster the rest ends by itself, unless it is in the middle of a long computation (an index build).
ORPHAN_STEPS = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 10.0))


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    uid: int
    program: str
    is_zombie: bool
    command: str

    @property
    def is_postmaster(self) -> bool:
        return not self.command.startswith("postgres: ")


def cluster_name(cluster: Path) -> str:
    """The mark of the processes that serve `cluster`; of fixed width at its end, so that none begins with another."""
    status = cluster.stat()
    return f"raptor-{status.st_dev:x}-{status.st_ino:016x}"


def server_processes(cluster: Path, account: Account) -> list[Process]:
    """The living processes that serve `cluster`: the postmaster and its children."""
    mark = cluster_name(cluster)
    return [
        process
        for process in _processes()
        if process.program == "postgres"
        and process.uid == account.uid
        and not process.is_zombie
        and mark in process.command
    ]


def end_left_over_server(cluster: Path, account: Account) -> None:
    """Shut down a server of `cluster` whose owner is gone.

    Only the holder of the directory's lock may call this. Returns at once when nothing is left over.

    Raises:
        ServerStartError: a process of the old server does not even end when killed.
    """
    try:
        cluster.stat()
    except FileNotFoundError:
        return

    def postmasters() -> list[Process]:
        return [process for process in server_processes(cluster, account) if process.is_postmaster]

    _end(postmasters, POSTMASTER_STEPS)
    _end(lambda: server_processes(cluster, account), ORPHAN_STEPS)


def _end(find: Callable[[], list[Process]], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    for number, patience in steps:
        if not (processes := find()):
            return
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
        deadline = time.monotonic() + patience
        while find() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if remaining := find():
        pids = ", ".join(str(process.pid) for process in remaining)
        raise ServerStartError(f"Processes {pids} of an earlier server do not end. Restart the machine or container.")


def discard_stale_lock_file(lock_file: Path) -> None:
    """Remove a lock file of a dead server (`postmaster.pid`, the socket's) whose process id is now somebody else's.

    Postgres itself would take another program, or a zombie, for the running server. In every other case the file
    stays: it also leads Postgres to the old server's shared memory, by which it finds out whether an old process
    is still writing.
    """
    try:
        pid = abs(int(lock_file.read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return
    holder = next((process for process in _processes() if process.pid == pid), None)
    if holder is not None and (holder.is_zombie or holder.program != "postgres"):
        lock_file.unlink()


def _processes() -> Iterator[Process]:
    return processes_of_proc() if sys.platform == "linux" else processes_of_ps()


def processes_of_proc() -> Iterator[Process]:
    """Read /proc, and there only what is open to every user. Container images often have no `ps`."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # ended meanwhile
            status = (folder / "stat").read_text(errors="replace")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            program, _, rest = status.partition("(")[2].rpartition(")")
            yield Process(
                pid=int(folder.name),
                uid=folder.stat().st_uid,
                program=program,
                is_zombie=rest.split()[0] in {"Z", "X"},
                command=command,
            )


def processes_of_ps() -> Iterator[Process]:
    """Ask `ps`, which macOS has."""
    columns = ["-o", "pid=", "-o", "uid=", "-o", "stat=", "-o", "ucomm=", "-o", "command="]
    listing = subprocess.run(  # noqa: S603 - fixed command
        ["/bin/ps", "-axww", *columns],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=30,
    )
    for line in listing.stdout.splitlines():
        pid, uid, state, program, command = (*line.split(None, 4), "")[:5]
        yield Process(int(pid), int(uid), program, state.startswith("Z"), command)
