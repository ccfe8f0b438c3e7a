"""The embedded Postgres: the database of an installation that has no other.

    with EmbeddedPostgres(data_dir) as address:
        connect(address.url)

For Linux and macOS; import it only when no DATABASE_URL is given. `start` and `stop` block for about a second
and a tenth of a second (the first start creates the database): call them at the start and end of a process,
or in a thread.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from embedded_postgres.account import Account, account_for, bare_environment
from embedded_postgres.address import PORT, ServerAddress, answers, publish, socket_folder
from embedded_postgres.binaries import Binaries, binaries_for, installed_binaries
from embedded_postgres.cluster import SUPERUSER, DataDirectory, prepare_cluster, server_path
from embedded_postgres.errors import ServerStartError, data_directory_access
from embedded_postgres.processes import cluster_name, discard_stale_lock_file, end_left_over_server

SUPERVISOR = Path(__file__).with_name("supervisor.py")
POLL_SECONDS = 0.02
LOG_LINES_SHOWN = 20


class EmbeddedPostgres:
    """One Postgres server over the files in `data_dir`, owned by this process.

    `shared_buffers` and `maintenance_work_mem` are Postgres sizes. An HNSW index over vectors of 1024
    dimensions is built in memory up to about 110,000 rows per 512 MB, several times slower beyond.
    `startup_timeout` is in seconds and counts from the last line in the server's log: recovery after a crash
    may take longer, as long as it reports progress, which Postgres does every ten seconds.

    Whatever becomes of the owner, the server ends: with `stop`, at the interpreter's exit, and within a
    second when the owner is killed. It never outlives its owner, and a start after any crash first ends what
    is left.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        database: str = "raptor",
        shared_buffers: str = "256MB",
        maintenance_work_mem: str = "512MB",
        max_connections: int = 100,
        startup_timeout: float = 120.0,
    ) -> None:
        self._directory = DataDirectory(data_dir.absolute())
        self._database = database
        self._sizes = {
            "shared_buffers": shared_buffers,
            "maintenance_work_mem": maintenance_work_mem,
            "max_connections": str(max_connections),
        }
        self._startup_timeout = startup_timeout
        self._lock: int | None = None
        self._account: Account | None = None
        self._sockets: Path | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._address: ServerAddress | None = None

    def __enter__(self) -> ServerAddress:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> ServerAddress:
        """Start the server, on the first time create its files, and wait until it accepts connections.

        Does nothing when it runs already; starts it again when it has died.

        Raises:
            EmbeddedPostgresError: it cannot; the subclasses in `embedded_postgres.errors` say why and what to do.
        """
        if self._address is not None and answers(self._address):
            return self._address
        self.stop()
        self._directory.create()
        self._lock = self._directory.acquire()
        _owned.add(self)
        atexit.register(self.stop)
        try:
            address = self._start_owned()
        except BaseException:
            self.stop()
            raise
        self._address = address
        return address

    def stop(self) -> None:
        """Shut the server down (open transactions are rolled back) and give the data directory back.

        Does nothing when there is nothing to stop, or in a process that was forked from the owner.
        """
        if self._lock is None:
            return
        if self._supervisor is not None:
            self._dismiss(self._supervisor)
        if self._account is not None:
            end_left_over_server(self._directory.cluster, self._account)
        self._directory.address.unlink(missing_ok=True)
        if self._sockets is not None and self._sockets != self._directory.cluster:
            with suppress(OSError):
                self._sockets.rmdir()
        self._directory.release(self._lock)
        self._lock = self._supervisor = self._account = self._sockets = self._address = None
        atexit.unregister(self.stop)

    def _disown(self) -> None:
        """Let go of the server in a process that was forked from its owner, so that it follows the owner alone."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.close()

    def _start_owned(self) -> ServerAddress:
        directory = self._directory
        with data_directory_access(directory.cluster):
            account = self._account = account_for(directory.cluster)
        binaries, major = binaries_for(account, installed_binaries())
        end_left_over_server(directory.cluster, account)
        prepare_cluster(directory.cluster, binaries, major, account, timeout=self._startup_timeout)
        sockets = self._sockets = socket_folder(directory.cluster, account)
        address = ServerAddress(sockets, PORT, self._database, SUPERUSER)
        for lock_file in (directory.cluster / "postmaster.pid", address.socket_file.with_suffix(f".{PORT}.lock")):
            discard_stale_lock_file(lock_file)
        log = directory.open_log()
        try:
            log_start = os.fstat(log).st_size
            self._supervisor = self._launch(binaries, account, sockets, log)
        finally:
            os.close(log)
        self._wait_until_ready(self._supervisor, log_start)
        _create_database(address)
        publish(address, directory)
        return address

    def _launch(self, binaries: Binaries, account: Account, sockets: Path, log: int) -> subprocess.Popen[bytes]:
        """Start the supervisor, in a session of its own: Ctrl-C in the terminal is for the owner alone."""
        cluster = self._directory.cluster
        command = [str(binaries.postgres), "-D", server_path(cluster, account)]
        # The cluster is the server's working folder, so "." needs neither a short path nor open parents.
        settings = {**self._sizes, "unix_socket_directories": "." if sockets == cluster else str(sockets)}
        settings["cluster_name"] = cluster_name(cluster)
        for name, value in (server_settings() | settings).items():
            command += ["-c", f"{name}={value}"]
        process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", str(SUPERVISOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        order = {
            "command": command,
            "folder": str(cluster),
            "environment": bare_environment(),
            "credentials": account.credentials,
        }
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
        return process

    def _dismiss(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.close()
        process.wait()  # bounded: the supervisor escalates

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log_start: int) -> None:
        """Wait until the server says in its pid file that it is ready.

        Trying to connect would be simpler, but each refused try is a line in the log, and lines in the log
        are what tells a long recovery from a server that hangs.
        """
        assert process.stdout is not None
        pid = process.stdout.readline().decode().strip()
        log_size, deadline = log_start, time.monotonic() + self._startup_timeout
        while process.poll() is None and pid:
            if self._is_ready(pid):
                return
            if (size := self._directory.log.stat().st_size) != log_size:
                log_size, deadline = size, time.monotonic() + self._startup_timeout
            if time.monotonic() > deadline:
                raise self._start_error(f"has shown no progress for {self._startup_timeout:.0f} s", log_start)
            time.sleep(POLL_SECONDS)
        raise self._start_error("ended while it was starting", log_start)

    def _is_ready(self, pid: str) -> bool:
        try:
            lines = (self._directory.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [pid] and [line.strip() for line in lines[7:]] == ["ready"]

    def _start_error(self, what: str, log_start: int) -> ServerStartError:
        with self._directory.log.open("rb") as log:
            log.seek(log_start)
            lines = log.read().decode(errors="replace").splitlines()
        shown = "\n".join(lines[-LOG_LINES_SHOWN:]) or "(the log is empty)"
        return ServerStartError(
            f"The embedded Postgres in {self._directory.root} {what}. The end of its log, "
            f"{self._directory.log}:\n{shown}"
        )


def server_settings() -> dict[str, str]:
    """Settings of every embedded server, given at each start: they follow the code and not the files."""
    settings = {
        "listen_addresses": "",  # no network at all
        "port": str(PORT),
        "unix_socket_permissions": "0700",
        # What a commit has acknowledged survives a power failure; nobody's postgresql.conf may say otherwise.
        "fsync": "on",
        "full_page_writes": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A failed statement would stand in the log with its text and its parameters, and the error's own message
        # quotes the value that was wrong: users' documents, and a key, should one ever be in a statement. The service
        # hears every error of its statements and logs them itself; the server's log is for the server.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_min_duration_sample": "-1",
        "log_transaction_sample_rate": "0",
        "log_lock_waits": "off",
        # A tree's vectors and their index are written in one burst; at the default of 1 GB that is a
        # checkpoint after the other. Recovery after a crash replays about this much at most.
        "max_wal_size": "2GB",
        # Compiling pays for queries of seconds, ours take milliseconds.
        "jit": "off",
        # A container that sees the host's huge pages but may not have them dies of SIGBUS.
        "huge_pages": "off",
    }
    if sys.platform == "linux":
        # Parallel index builds share maintenance_work_mem. The default puts it into /dev/shm, which has 64 MB
        # in a container: "could not resize shared memory segment". System V segments are memory without that
        # limit; files (mmap) have none either, but are written to disk. macOS allows 4 MB of System V memory,
        # and has no /dev/shm.
        settings["dynamic_shared_memory_type"] = "sysv"
    return settings


def _create_database(address: ServerAddress) -> None:
    try:
        with psycopg.connect(replace(address, database="postgres").url, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (address.database,))
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.database)))
    except psycopg.Error as error:
        raise ServerStartError(f"The database {address.database!r} cannot be opened or created: {error}") from error


_owned: weakref.WeakSet[EmbeddedPostgres] = weakref.WeakSet()


def _disown_all() -> None:
    for server in _owned:
        server._disown()


os.register_at_fork(after_in_child=_disown_all)
