"""A service of its own, started for a measurement and stopped after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`raptor serve` with its data and its logs in `folder`: its URL and its process. `settings` are variables of the
    environment; of the caller's own none is taken over."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        cwd=folder,
        env=_environment({"RAPTOR_LOG_LEVEL": "WARNING", "COLUMNS": "200", **settings}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield next(word for word in line.split() if word.startswith("http://")), process
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """One thread a process is what the service sees to itself: what this measurement was given is not passed on."""
    ours = ("RAPTOR_", "DATABASE_URL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return plain | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])} | dict(settings)
