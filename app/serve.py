"""`raptor serve`: the API in this process, a worker as its child, and the embedded Postgres below both."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn

from app.address import address_file
from app.container import open_container
from app.errors import RefusesToServe
from app.main import LOOPBACK, create_app
from app.settings import Settings, child_environment

logger = structlog.get_logger("serve")

WORKER_RESTART_S = 1.0


async def serve(settings: Settings, database_url: str, *, with_worker: bool, announce: Callable[[str], None]) -> None:
    """Until SIGTERM or SIGINT. `announce` is called with the address when requests are answered."""
    async with open_container(settings, database_url) as container:
        if settings.http.host not in LOOPBACK and not await container.access.keys_exist():
            raise RefusesToServe(
                f"Without an API key the service does not listen on {settings.http.host}: everyone who reaches it could"
                " read and change everything. Create a key first: raptor keys create --name me"
            )
        with listening(settings.http.host, settings.http.port) as sock:
            url = url_of(sock)
            config = uvicorn.Config(
                create_app(container),
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=10,
                lifespan="off",
                server_header=False,
            )
            server = AnnouncingServer(config, lambda: announce(url))
            worker = supervised_worker(database_url) if with_worker else contextlib.nullcontext()
            with address_file(settings.data_dir, url):
                async with worker:
                    await server.serve(sockets=[sock])


class AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal again when it has stopped, which would end this process before its worker
        and its database were."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Raises RefusesToServe where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise RefusesToServe(
                f"Cannot listen on {host}:{port} ({error.strerror}). Try --port 8001, or --port 0 for any free port."
            ) from error
        sock.listen(2048)
        yield sock


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def supervised_worker(database_url: str) -> AsyncIterator[None]:
    """A worker process that is started again when it dies, and ends with this process however that ends: it reads a
    pipe that we hold open."""
    stopping = asyncio.Event()
    supervisor = asyncio.create_task(_supervise(database_url, stopping))
    try:
        yield
    finally:
        stopping.set()
        await supervisor


async def _supervise(database_url: str, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.cli",
            "worker",
            "--until-stdin-closes",
            stdin=subprocess.PIPE,
            env=child_environment(database_url),
            start_new_session=True,
        )
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stopping.is_set():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await ended
            return
        logger.error("worker died, starting another", returncode=process.returncode)
        await asyncio.sleep(WORKER_RESTART_S)
