"""A key that is brought is nowhere that the operating system shows to others, and in no log of the database."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from fake_provider import RunningFakeProvider
from infra.compute import ProcessPool
from tests.client import ApiClient
from tests.factories import handbook

CANARY = "canary-51e0c9d27ab3f846"
KEYS: dict[str, Any] = {"byok_voyage_api_key": f"{CANARY}-v", "byok_deepseek_api_key": f"{CANARY}-d"}


class Seen(dict[int, str]):
    """Command line and environment of each process that there was, this one and all that it started, by pid."""

    def look(self) -> None:
        this = psutil.Process()
        for process in (this, *this.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                shown = f"{process.name()} {process.cmdline()} {process.environ()}"
                self[process.pid] = f"{self.get(process.pid, '')}\n{shown}"


@pytest.fixture
def bait() -> Iterator[int]:
    """A process that does show what is looked for; its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()", "bait-in-arguments"],
        stdin=subprocess.PIPE,
        env={**os.environ, "BAIT": "bait-in-environment"},
    ) as process:
        yield process.pid
        process.communicate(b"\n")


@asynccontextmanager
async def watched() -> AsyncIterator[Seen]:
    seen = Seen()

    async def look() -> None:
        while True:
            await asyncio.to_thread(seen.look)
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        await asyncio.wait([looking])


def own_environment() -> tuple[int, str]:
    """What a process has set since it began is not in what the system shows of it."""
    return os.getpid(), repr(dict(os.environ))


@pytest.mark.usefixtures("running")
async def test_no_process_has_a_brought_key_in_its_arguments_or_its_environment(
    api: ApiClient, provider: RunningFakeProvider, pool: ProcessPool, bait: int
) -> None:
    await pool.warm()
    provider.faults({"kind": "late_success", "seconds": 0.2, "endpoint": "chat", "count": 3})
    async with watched() as seen:
        await api.ingest(handbook(1), **KEYS)
        await api.retrieve("honey", byok_voyage_api_key=KEYS["byok_voyage_api_key"])
        inside = [await pool(own_environment) for _ in range(8)]
    assert provider.stats()["calls"] > 3
    assert "bait-in-arguments" in seen[bait]
    assert "bait-in-environment" in seen[bait]
    assert {pid for pid, _ in inside} <= seen.keys()
    assert os.getpid() in seen
    assert not [pid for pid, shown in seen.items() if CANARY in shown]
    assert not [pid for pid, environment in inside if CANARY in environment]
    assert CANARY not in repr(dict(os.environ))


@pytest.mark.usefixtures("running")
async def test_a_brought_key_is_not_in_the_log_of_the_embedded_database(
    api: ApiClient, provider: RunningFakeProvider, server_folder: Path
) -> None:
    """Through work that succeeds and work whose provider repeats the key. Another server's log is not ours to read:
    what the embedded one may log is also tried by itself, in tests/adapters/test_embedded_postgres.py."""
    await api.ingest(handbook(1), **KEYS)
    echo = f"Incorrect key provided: {CANARY}-d"
    provider.faults({"kind": "status", "status": 401, "message": echo, "endpoint": "chat", "count": 5})
    answer = await api.upload(handbook(2), name="other.md", dataset="other", **KEYS)
    assert answer.status_code == 502
    for log in logs_in(server_folder):
        assert "ready to accept connections" in log
        assert CANARY not in log


def logs_in(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("postgres.log*")]
