"""The file in the data folder by which the commands of this folder find its running service."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS_FILE = "service.json"


@contextmanager
def address_file(data_dir: Path, url: str) -> Iterator[None]:
    """There as long as the service listens at `url`."""
    path = data_dir / ADDRESS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def served_at(data_dir: Path, pid: int | None = None) -> str | None:
    """The address that a service of this data folder has written, or only the process `pid`; it may have died since."""
    try:
        written = json.loads((data_dir / ADDRESS_FILE).read_text())
        return str(written["url"]) if pid in (None, written["pid"]) else None
    except (OSError, ValueError, KeyError):
        return None
