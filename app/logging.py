"""Logs: to the console for people, to a file as JSON lines; every line with the request or job it is of."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.types import Processor

from app.settings import LogSettings

# What must never reach a log, whoever wrote the line: API keys of ours and of providers, and bearer tokens.
SECRET = re.compile(r"(rpt_[0-9a-f]{8}_|sk-|pa-|al-|AIza|hf_|Bearer\s+)[A-Za-z0-9_\-.]{8,}")
FILE_BYTES, FILES_KEPT = 20 * 1024 * 1024, 5


def configure_logging(settings: LogSettings, process: str) -> None:
    """Sends structlog's and the standard library's lines the same way. `process` names the log file."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handlers: dict[str, dict[str, Any]] = {
        "console": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": settings.format}
    }
    if settings.folder is not None:
        settings.folder.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": settings.folder / f"{process}.log",
            "maxBytes": FILE_BYTES,
            "backupCount": FILES_KEPT,
            "encoding": "utf-8",
            "formatter": "json",
            "delay": True,
        }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "console": formatter(shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())),
                "json": formatter(shared, structlog.processors.JSONRenderer(ensure_ascii=False)),
            },
            "handlers": handlers,
            "root": {"level": settings.level, "handlers": list(handlers)},
            "loggers": {
                # Requests have a line of ours with more in it.
                "uvicorn.access": {"level": "WARNING"},
                "httpx2": {"level": "WARNING"},
                "httpcore2": {"level": "WARNING"},
                # At lower levels these write whole requests: the users' texts.
                "openai": {"level": "WARNING"},
                "procrastinate": {"level": "WARNING"},
                "alembic": {"level": "WARNING"},
                "numba": {"level": "WARNING"},
            },
        }
    )


def formatter(shared: list[Processor], renderer: Processor) -> dict[str, Any]:
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        "foreign_pre_chain": shared,
    }


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = redacted(value)
    return event


def redacted(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET.sub(r"\1[redacted]", value)
    if isinstance(value, Mapping):
        return {key: redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(inner) for inner in value]
    return value
