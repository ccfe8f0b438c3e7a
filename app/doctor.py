"""`raptor doctor`: what is configured, reachable or missing, and how to fix it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from app.address import served_at
from app.container import open_container
from app.database import joined_database
from app.settings import Settings
from embedded_postgres.errors import EmbeddedPostgresError
from infra.db.engine import create_engine
from infra.db.migrate import UnsuitableDatabase
from infra.db.recall import Recall, measure_recall
from infra.model_registry import load_models
from interfaces_adaptor.clients.service_client import ServiceClient
from services.cost.budget import CallContext
from services.domain import DEFAULT_TENANT
from services.errors import RaptorError
from services.models.registry import AUTO

LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    ok: bool
    detail: str
    remedy: str = ""


def examine(settings: Settings, console: Console, *, recall: bool = False) -> bool:
    """Prints the findings; False if something needs fixing. With `recall` the vector indexes are measured too."""
    findings = [*of_this_machine(settings), *of_models(settings), *of_database(settings), *of_service(settings)]
    if recall:
        findings += of_recall(settings)
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        table.add_row("[green]ok[/]" if finding.ok else "[red]no[/]", finding.what, finding.detail, finding.remedy)
    console.print(table)
    return all(finding.ok for finding in findings)


def of_this_machine(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", (3, 11) <= sys.version_info[:2] < (3, 15), version, "3.11 to 3.14 are supported")
    yield Finding("cores", True, f"{os.cpu_count()}; {settings.worker.processes or os.cpu_count()} processes compute")
    folder = settings.data_dir.resolve()
    above = next(parent for parent in [folder, *folder.parents] if parent.exists())
    writable, free = os.access(above, os.W_OK), shutil.disk_usage(above).free
    yield Finding(
        "data folder",
        writable,
        f"{folder}",
        "" if writable else "set RAPTOR_DATA_DIR to a folder that you can write to",
    )
    enough = free >= LEAST_FREE_BYTES
    yield Finding("free disk", enough, f"{free / 1e9:.0f} GB", "" if enough else "free at least 1 GB")


def of_models(settings: Settings) -> Iterator[Finding]:
    registry = load_models(settings.providers.models_file)
    yield Finding("prices", True, f"as of {registry.prices_of}", "RAPTOR_MODELS_FILE overrides models and prices")
    keys = sorted(settings.providers.keys)
    yield Finding(
        "provider keys",
        True,
        ", ".join(keys) or "none configured: callers send their own, or the built-in models are used",
    )


def of_database(settings: Settings) -> Iterator[Finding]:
    which = "DATABASE_URL" if settings.database_url is not None else "embedded, in the data folder"
    try:
        with joined_database(settings) as url:
            parts = asyncio.run(database_parts(settings, url))
    except (EmbeddedPostgresError, UnsuitableDatabase, RaptorError, OSError, ValueError) as error:
        yield Finding("database", False, which, str(error))
        return
    yield Finding("database", True, which)
    for name, (ok, detail) in parts.items():
        yield Finding(name, ok or name == "workers", detail)


async def database_parts(settings: Settings, url: str) -> dict[str, tuple[bool, str]]:
    async with open_container(settings, url) as container:
        parts = {name: (part.ok, part.detail) for name, part in (await container.health.parts()).items()}
        if parts["database"][0]:
            keys = [key for key in await container.access.all() if key.revoked_at is None]
            detail = f"{len(keys)} active" if keys else "none: open to this computer only"
            parts["API keys"] = (True, detail)
        context = CallContext(DEFAULT_TENANT)
        models = container.services.models
        parts["summariser"] = found(lambda: models.chosen_chat(AUTO, context))
        return parts


def found(find: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, find()
    except RaptorError as error:
        return False, error.message


def of_recall(settings: Settings) -> Iterator[Finding]:
    try:
        with joined_database(settings) as url:
            measured = asyncio.run(recall_of_indexes(settings, url))
    except (EmbeddedPostgresError, UnsuitableDatabase, SQLAlchemyError, OSError, ValueError) as error:
        yield Finding("recall", False, str(error))
        return
    if not measured:
        yield Finding(
            "recall", True, f"no dataset has an index; up to {settings.vector_index_from} vectors are searched exactly"
        )
    for one in measured:
        tried = ", ".join(f"{recall:.3f} at {breadth}" for breadth, recall in one.by_breadth.items())
        detail = f"{one.vectors} vectors; recall@10 {tried}; ef_search is now {one.ef_search}"
        remedy = "" if one.enough else "set the dataset's vector_index to exact, or accept it"
        yield Finding(f"recall of {one.dataset_id}", one.enough, detail, remedy)


async def recall_of_indexes(settings: Settings, url: str) -> list[Recall]:
    engine = create_engine(url, timeout_s=settings.database.timeout_seconds)
    try:
        return await measure_recall(engine)
    finally:
        await engine.dispose()


def of_service(settings: Settings) -> Iterator[Finding]:
    url = served_at(settings.data_dir)
    alive = False
    if url is not None:
        with ServiceClient(url) as client:
            alive = client.alive()
    yield Finding("service", True, f"answers at {url}" if alive else "not running: `raptor serve` starts it")
