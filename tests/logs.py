"""What the service writes into its log while a test goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from app.logging import configure_logging
from app.settings import LogSettings


@contextmanager
def written_log(folder: Path, level: Any = "INFO") -> Iterator[Path]:
    """The file that gets each line as JSON, as a service writes it; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    configure_logging(LogSettings(folder=folder, level=level, format="json"), "test")
    try:
        yield folder / "test.log"
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:], root.level = handlers, before
        structlog.reset_defaults()
