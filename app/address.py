"""The file in the data folder by which the commands of this folder find its running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS_FILE = "service.json"


@contextmanager
def address_file(data_dir: Path, url: str) -> Iterator[None]:
    """There as long as the service listens at `url`."""
    path = data_dir / ADDRESS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"url": url}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def served_at(data_dir: Path) -> str | None:
    """The address that a service of this data folder has written; it may have died since."""
    try:
        return str(json.loads((data_dir / ADDRESS_FILE).read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None
