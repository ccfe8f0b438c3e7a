"""A service to talk to: the one that is named, the one on this data folder, or one for the time of a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.serve import served_at
from app.settings import Settings
from interfaces_adaptor.clients.service_client import ServiceClient, ServiceUnreachable

START_S = 120.0
STOP_S = 30.0


class ServiceDied(Exception):
    """The service that was started for this command ended before it answered; its log is above."""


@contextmanager
def service(settings: Settings, url: str | None, api_key: str | None) -> Iterator[ServiceClient]:
    """Raises ServiceUnreachable for a named service that does not answer."""
    if url is not None:
        with ServiceClient(url, api_key) as client:
            if not client.alive():
                raise ServiceUnreachable(f"{url} does not answer: is the service running there?")
            yield client
        return
    running = served_at(settings.data_dir)
    if running is not None:
        with ServiceClient(running, api_key) as client:
            if client.alive():
                yield client
                return
    with started_service() as started, ServiceClient(started, api_key) as client:
        yield client


@contextmanager
def started_service() -> Iterator[str]:
    """`raptor serve` on a free port as a child of this process; ended, and its database with it, when this is left.
    What was queued goes on the next time that a service runs on the data folder."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ) | {"RAPTOR_HOST": "127.0.0.1", "COLUMNS": "200", "NO_COLOR": "1"},
        text=True,
        start_new_session=True,
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    for line in process.stdout:
        for word in line.split():
            if word.startswith("http://"):
                return word
        if time.monotonic() > deadline:
            break
    raise ServiceDied("The service did not start. `raptor serve` shows why.")
