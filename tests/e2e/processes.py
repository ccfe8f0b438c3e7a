"""The program as a user starts it: in a folder of its own, ended by its own process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

RAPTOR = [sys.executable, "-m", "app.cli"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAPTOR_", "DATABASE_URL"))}
    quick = {
        # No process has to load and compile numerical libraries; test_serve.py also starts it as it comes.
        "RAPTOR_TREE_GROUPER": "contiguous",
        "RAPTOR_WORKER_PROCESSES": "1",
        "RAPTOR_WORKER_POLL_SECONDS": "0.1",
        "RAPTOR_WORKER_HEARTBEAT_SECONDS": "0.5",
        "RAPTOR_WORKER_DEAD_AFTER_SECONDS": "30",
        "RAPTOR_WORKER_SHUTDOWN_SECONDS": "2",
        "RAPTOR_DB_SHARED_BUFFERS": "64MB",
        "RAPTOR_DB_MAINTENANCE_WORK_MEM": "64MB",
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return kept | quick | more


@contextmanager
def serving(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`raptor serve` in `folder`; its address and process."""
    with (folder / "serve.out").open("a") as errors:
        process = subprocess.Popen(
            [*RAPTOR, "serve", "--port", "0", *arguments],
            cwd=folder,
            env=environment(**more),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = next((word for word in line.split() if word.startswith("http://")), None)
        assert address, line + (folder / "serve.out").read_text()
        yield address, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def run(folder: Path, *arguments: str, seconds: float = 100, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RAPTOR, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def all_gone(members: list[psutil.Process], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(alive(member) for member in members):
            return True
        time.sleep(0.1)
    return False


def alive(member: psutil.Process) -> bool:
    try:
        return bool(member.is_running()) and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
