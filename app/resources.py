"""Where the files are that travel with the program but are not Python: at the root of a checkout, or inside `app` in an
installed wheel."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent


def migrations_folder() -> Path:
    return _either(HERE.parent / "alembic", HERE / "_alembic")


def samples_folder() -> Path:
    return _either(HERE.parent / "samples", HERE / "_samples")


def _either(checkout: Path, installed: Path) -> Path:
    return installed if installed.is_dir() else checkout
