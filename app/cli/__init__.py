"""The program `raptor`."""

from __future__ import annotations

from app.cli.root import main

__all__ = ["main"]
