"""A client for the service that a command talks to: the named one, the one of this data folder, or one started for the
command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from app.address import served_at
from app.errors import ServiceDied
from interfaces_adaptor.clients.service_client import ServiceClient, ServiceUnreachable

START_S = 120.0
STOP_S = 30.0
POLL_S = 0.05


@contextmanager
def service_client(url: str | None, api_key: str | None) -> Iterator[ServiceClient]:
    """Arguments win over RAPTOR_URL and RAPTOR_API_KEY. Raises ServiceUnreachable for a named service that does not
    answer."""
    url, api_key, data_dir = named_service(url, api_key)
    if url is None:
        with local_client(data_dir, api_key) as client:
            yield client
        return
    with ServiceClient(url, api_key) as client:
        if not client.alive():
            raise ServiceUnreachable(f"{url} does not answer: is the service running there?")
        yield client


@contextmanager
def running_service(url: str | None, api_key: str | None) -> Iterator[ServiceClient]:
    """A client for the named service, or for the one that runs on this data folder. Raises ServiceUnreachable."""
    url, api_key, data_dir = named_service(url, api_key)
    found = url or served_at(data_dir)
    if found is None:
        raise ServiceUnreachable(f"No service runs on {data_dir}.")
    with ServiceClient(found, api_key) as client:
        if not client.alive():
            raise ServiceUnreachable(f"{found} does not answer.")
        yield client


@contextmanager
def some_service(url: str | None, api_key: str | None) -> Iterator[None]:
    """Starts one for the time of this context where none is named and none runs."""
    url, api_key, data_dir = named_service(url, api_key)
    with local_client(data_dir, api_key) if url is None else nullcontext():
        yield


def named_service(url: str | None, api_key: str | None) -> tuple[str | None, str | None, Path]:
    """Address and key, and the data folder. Arguments win over RAPTOR_URL and RAPTOR_API_KEY."""
    from app.settings import load_client_settings

    settings = load_client_settings()
    of_settings = settings.api_key.get_secret_value() if settings.api_key is not None else None
    return url or settings.url, api_key or of_settings, settings.data_dir


@contextmanager
def local_client(data_dir: Path, api_key: str | None = None) -> Iterator[ServiceClient]:
    """Of the service that runs on this data folder, or of one that runs as long as this context."""
    running = served_at(data_dir)
    if running is not None:
        with ServiceClient(running, api_key) as client:
            if client.alive():
                yield client
                return
    with started_service(data_dir) as started, ServiceClient(started, api_key) as client:
        yield client


@contextmanager
def started_service(data_dir: Path) -> Iterator[str]:
    """`raptor serve` on a free port as a child process, which ends with this context, and its database with it. Queued
    jobs continue the next time a service runs on the data folder."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ) | {"RAPTOR_HOST": "127.0.0.1"},
        start_new_session=True,
    )
    try:
        yield _address(process, data_dir)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], data_dir: Path) -> str:
    """As the service writes it into the data folder when it listens."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if (url := served_at(data_dir, process.pid)) is not None:
            return url
        time.sleep(POLL_S)
    raise ServiceDied("The service did not start. `raptor serve` shows why.")
