"""`python -m bench.faults [--matrix] [--kills 100]`: what failures cost, against the fake provider.

- `--matrix [ENDPOINT ...]`: every fault on the first, a middle and the last call of a build, for chat and for both
  kinds of embeddings; the tables of `docs/faults.md`. It fails if a case is not as it has to be, or was not struck.
- `--kills N`: kill -9 of the worker at N random moments, half of builds, half of mendings, and how many calls were paid
  twice.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from app.container import open_container
from app.logging import configure_logging
from app.main import create_app
from app.resources import migrations_folder
from app.settings import load_settings
from embedded_postgres import EmbeddedPostgres
from fake_provider import RunningFakeProvider, running_fake_provider
from infra.db.migrate import Migrations, migrate
from tests.providers.fault_matrix import (
    FAULTS,
    TREE,
    Bench,
    Endpoint,
    Fault,
    NothingMeasured,
    Seen,
    as_expected,
    keys_of,
    models_file,
    places,
)

AT_ONCE = 6
KILLS_A_JOB = 4  # the fifth attempt is a job's last
ENDPOINTS: tuple[Endpoint, ...] = ("chat", "contextualized", "embeddings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", nargs="*", choices=ENDPOINTS, metavar="ENDPOINT", help="all, unless named")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.matrix is not None and (wrong := asyncio.run(matrix(arguments.matrix or ENDPOINTS))):
        sys.exit(f"{wrong} cases are not as they have to be")
    if arguments.kills:
        asyncio.run(kills(arguments.kills, random.Random(arguments.seed)))


async def matrix(endpoints: Sequence[Endpoint]) -> int:
    """How many cases were not as they have to be. One call at a time, so that the last one is the last, and the calls
    that follow on one another are the attempts of one request."""
    wrong = 0
    async with service(
        models=models_file(chat=1, embed=1),
        RAPTOR_PROVIDER_TIMEOUT_SECONDS="4",
        RAPTOR_WORKER_DEAD_AFTER_SECONDS="60",
    ) as bench:
        slots = asyncio.Semaphore(AT_ONCE)
        with forked_workers() as start:
            start()
            for endpoint in endpoints:
                clean = await bench.clean(endpoint)
                print(f"\n{endpoint}: {len(clean.calls)} calls, struck at {places(clean)}\n", flush=True)
                print("| fault | endpoint | first | middle | last |\n| --- | --- | --- | --- | --- |")
                faults = [fault for fault in FAULTS if endpoint in fault.endpoints]

                async def cell(number: int, fault: Fault, place: int, endpoint: Endpoint, clean: Seen) -> list[str]:
                    async with slots:
                        case = f"{endpoint}-{number}-{place}"
                        try:
                            seen = await bench.run(case, endpoint, fault, places(clean)[place])
                        except NothingMeasured as error:
                            return [f"NOT MEASURED: {error}", ""]
                    outcome = seen.code or (f"degraded {seen.degraded}" if seen.degraded else "ok")
                    differs = "; ".join(as_expected(fault, seen, clean))
                    return [differs or f"{outcome}, +{len(seen.calls) - len(clean.calls)}", *([""] if differs else [])]

                cells = await asyncio.gather(
                    *(
                        cell(number, fault, place, endpoint, clean)
                        for number, fault in enumerate(faults)
                        for place in range(3)
                    )
                )
                wrong += sum(len(cell) > 1 for cell in cells)
                for number, fault in enumerate(faults):
                    row = (fault.name, endpoint, *(cell[0] for cell in cells[3 * number : 3 * number + 3]))
                    print(f"| {' | '.join(row)} |", flush=True)
    return wrong


async def kills(count: int, chance: random.Random) -> None:
    """Half of the kills strike builds, the other half the mending of trees whose every summary is to be written."""
    for work, share in (("build", -(-count // 2)), ("mend", count // 2)):
        async with service(latency_s=0.1, models=models_file(chat=4, embed=4)) as bench:
            in_flight = done = jobs = 0
            lost: set[uuid.UUID] = set()
            with forked_workers() as start:
                while done < share:
                    jobs += 1
                    case = f"kill-{jobs:03d}"
                    job_id = await (begun_build if work == "build" else begun_mending)(bench, case, start)
                    for _ in range(min(KILLS_A_JOB, share - done)):
                        pid = start()
                        await asyncio.sleep(chance.uniform(0.3, 1.5))
                        os.kill(pid, signal.SIGSTOP)
                        in_flight += len(found := await under_way() - lost)
                        lost |= found
                        os.kill(pid, signal.SIGKILL)
                        done += 1
                        if (await bench.job(job_id))["status"] == "succeeded":
                            break
                    await finished_by(bench, job_id, start)
                    tree = (await bench.http.get(f"/v1/datasets/{case}/tree")).json()["data"]
                    assert tree["stats"]["degraded"] == 0, tree["stats"]
            calls = await asyncio.to_thread(bench.provider.calls, 10_000)
        twice = sum(call["repeated"] for call in calls)
        print(f"{work}: kills {done}  jobs {jobs}  calls {len(calls)}  in flight {in_flight}  paid twice {twice}")


async def begun_build(bench: Bench, case: str, _start: Callable[[], int]) -> str:
    return await bench.upload(case, keys_of(case, "chat"))


async def begun_mending(bench: Bench, case: str, start: Callable[[], int]) -> str:
    """Of a tree that was built while the model refused to write anything."""
    await asyncio.to_thread(bench.provider.faults, {"kind": "refusal", "endpoint": "chat", "count": None})
    await finished_by(bench, await begun_build(bench, case, start), start)
    await asyncio.to_thread(bench.provider.clear_faults)
    keys = {"X-" + name.replace("_", "-"): key for name, key in keys_of(case, "chat").items()}
    answer = await bench.http.post(f"/v1/datasets/{case}/retry-nodes", headers=keys)
    answer.raise_for_status()
    return str(answer.json()["data"]["job_id"])


async def finished_by(bench: Bench, job_id: str, start: Callable[[], int]) -> None:
    """By a worker that nobody kills."""
    pid = start()
    job = await bench.finished(job_id)
    os.kill(pid, signal.SIGTERM)
    assert job["status"] == "succeeded", job


async def under_way() -> set[uuid.UUID]:
    """Calls that the limiter let through and that have not come back."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        return {
            row[0] for row in await connection.fetch("select call_id from provider_calls where finished_at is null")
        }
    finally:
        await connection.close()


@asynccontextmanager
async def service(latency_s: float = 0.0, models: str | None = None, **environment: str) -> AsyncIterator[Bench]:
    """The API in this process over a database of its own; the environment is what its workers need."""
    with tempfile.TemporaryDirectory() as name, running_fake_provider(latency_s=latency_s) as provider:
        folder = Path(name)
        (folder / "models.toml").write_text(models or models_file())
        with EmbeddedPostgres(folder / "postgres", shared_buffers="64MB") as address:
            await migrate(address.url, Migrations(migrations_folder()))
            for setting in [setting for setting in os.environ if setting.startswith("RAPTOR_")]:
                del os.environ[setting]
            os.environ.update(base_environment(folder, address.url, provider) | environment)
            settings = load_settings()
            configure_logging(settings.log, "bench")
            async with open_container(settings, address.url) as container:
                transport = httpx2.ASGITransport(create_app(container), client=("127.0.0.1", 50000))
                async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=600) as http:
                    yield Bench(http, container.access, provider)


def base_environment(folder: Path, database_url: str, provider: RunningFakeProvider) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "RAPTOR_DATA_DIR": str(folder),
        "RAPTOR_MODELS_FILE": str(folder / "models.toml"),
        "RAPTOR_PROVIDER_BASE_URL_OVERRIDE": provider.url,
        **{f"RAPTOR_TREE_{name.upper()}": str(value) for name, value in TREE.items()},
        "RAPTOR_WORKER_POLL_SECONDS": "0.1",
        "RAPTOR_WORKER_HEARTBEAT_SECONDS": "0.5",
        "RAPTOR_WORKER_DEAD_AFTER_SECONDS": "3.0",
        "RAPTOR_LOG_FOLDER": str(folder / "logs"),
        "RAPTOR_LOG_LEVEL": "ERROR",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


@contextmanager
def forked_workers() -> Iterator[Any]:
    """A function that starts a worker and gives its process id."""
    import subprocess

    with subprocess.Popen(
        [sys.executable, "-m", "bench.forked_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdout.readline()

        def start() -> int:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write("\n")
            return int(server.stdout.readline())

        try:
            yield start
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            time.sleep(1)
            os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
