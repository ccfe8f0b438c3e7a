"""Names of things as people say them."""

from __future__ import annotations

from pathlib import PurePath


def spoken_name(path: str) -> str:
    """Of a file: `guides/04-engine_and_electrics.md` is `04 engine and electrics`."""
    return PurePath(path).stem.replace("-", " ").replace("_", " ")
