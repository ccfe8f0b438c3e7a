"""The embedded Postgres when it, its owner or both are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from embedded_postgres import EmbeddedPostgres, running_address
from embedded_postgres.account import Account
from embedded_postgres.processes import cluster_name, processes_of_ps
from tests.adapters.embedded_postgres import (
    closed_folder,
    eventually,
    has_ended,
    notes,
    owned_by_another_process,
    postmaster,
    prepared_data,
    python,
    write,
)

only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

LEAVE_AT_SIGTERM = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
FORK = "if os.fork() == 0: time.sleep(60); os._exit(0)"


@pytest.fixture
def folder() -> Iterator[Path]:
    with closed_folder() as path:
        yield path


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    with prepared_data() as path:
        yield path


@pytest.fixture
def data_dir(prepared: Path, folder: Path) -> Path:
    """Data with the table `note`, put there by a plain copy, as a backup is (as root it then belongs to root)."""
    return Path(shutil.copytree(prepared, folder / "db"))


def test_no_acknowledged_row_is_lost_when_the_server_is_killed(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    address = server.start()
    try:
        with closing(psycopg.connect(address.url)) as busy, closing(psycopg.connect(address.url)) as writer:
            # A computation that does not notice by itself that the postmaster is gone.
            busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
            orphan = psutil.Process(busy.info.backend_pid)
            victims = [child for child in postmaster(data_dir).children() if child != orphan]
            victims.insert(0, postmaster(data_dir))  # first, or it would end the others itself
            writer.autocommit = True
            acknowledged = 0
            with suppress(psycopg.OperationalError):
                while True:
                    writer.execute("INSERT INTO note VALUES (%s)", (acknowledged + 1,))
                    acknowledged += 1
                    if acknowledged == 100:
                        for victim in victims:
                            with suppress(psutil.NoSuchProcess):  # followed the postmaster by itself
                                victim.kill()
            assert eventually(lambda: all(map(has_ended, victims)))
            assert not has_ended(orphan)
            assert notes(server.start().url)[:acknowledged] == list(range(1, acknowledged + 1))
            assert has_ended(orphan)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("number", "then"),
    [
        pytest.param(signal.SIGKILL, "", id="killed"),
        pytest.param(signal.SIGKILL, FORK, id="killed, survived by a forked process"),
        pytest.param(signal.SIGTERM, "", id="terminated"),
        pytest.param(signal.SIGTERM, LEAVE_AT_SIGTERM, id="terminated, and leaves in good order"),
        pytest.param(signal.SIGINT, "", id="interrupted"),
        pytest.param(signal.SIGTERM, f"{FORK}\n{LEAVE_AT_SIGTERM}", id="leaves before a forked process"),
        pytest.param(None, "", id="comes to its end"),
    ],
)
def test_the_server_ends_with_its_owner(data_dir: Path, number: signal.Signals | None, then: str) -> None:
    with owned_by_another_process(data_dir, then) as owner:
        address = running_address(data_dir)
        assert address is not None
        write(address.url, 1)
        servers = [postmaster(data_dir), *postmaster(data_dir).children()]
        if number is None:
            assert owner.stdin is not None
            owner.stdin.close()
        else:
            owner.send_signal(number)
        owner.wait(60)
        assert eventually(lambda: all(map(has_ended, servers)))
        assert not (data_dir / "cluster" / "postmaster.pid").exists()
        with EmbeddedPostgres(data_dir) as address:
            assert notes(address.url) == [1]


def test_ctrl_c_leaves_the_owner_the_time_to_finish_its_work(data_dir: Path) -> None:
    last_words = """
url = server.start().url
def finish(*_):
    import psycopg
    time.sleep(0.5)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO note VALUES (1)")
    sys.exit()
signal.signal(signal.SIGINT, finish)
"""
    with owned_by_another_process(data_dir, last_words) as owner:
        os.killpg(owner.pid, signal.SIGINT)  # as a terminal does, to the whole group
        assert owner.wait(60) == 0
    with EmbeddedPostgres(data_dir) as address:
        assert notes(address.url) == [1]


@only_on_linux
def test_the_server_ends_when_owner_and_supervisor_are_killed_together(data_dir: Path) -> None:
    with owned_by_another_process(data_dir) as owner:
        server = postmaster(data_dir)
        supervisor = server.parent()
        assert supervisor is not None
        supervisor.kill()
        owner.kill()
        assert eventually(lambda: has_ended(server))


def test_a_server_that_is_left_over_is_ended_by_the_next_owner(data_dir: Path) -> None:
    with owned_by_another_process(data_dir) as owner:
        server = postmaster(data_dir)
        supervisor = server.parent()
        assert supervisor is not None
        supervisor.suspend()  # nobody is left to notice
        owner.kill()
        owner.wait(60)
        with EmbeddedPostgres(data_dir) as address:
            assert has_ended(server)
            assert notes(address.url) == []


@only_on_linux
def test_a_server_that_nobody_has_collected_counts_as_ended(data_dir: Path) -> None:
    # This becomes the parent of what its child leaves behind, and collects nothing, as in many containers.
    program = """
import ctypes, os, signal, sys, time
from pathlib import Path
from embedded_postgres import EmbeddedPostgres
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
data_dir = Path(sys.argv[1])
pid_file = data_dir / "cluster" / "postmaster.pid"
owner = os.fork()
if owner == 0:
    EmbeddedPostgres(data_dir).start()
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(owner, os.WUNTRACED)
server = int(pid_file.read_text().split()[0])
status = Path(f"/proc/{server}/stat")
supervisor = int(status.read_text().split()[3])
for pid in (supervisor, server):
    os.kill(pid, signal.SIGKILL)
while status.read_text().split()[2] != "Z":
    time.sleep(0.02)
os.kill(owner, signal.SIGKILL)
os.waitpid(owner, 0)
with EmbeddedPostgres(data_dir):
    assert status.read_text().split()[2] == "Z"
"""
    outcome = subprocess.run(python(program, data_dir), capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_a_process_id_that_now_belongs_to_another_program_stops_nobody(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as address:
        locks = [data_dir / "cluster" / "postmaster.pid", address.socket_dir / f".s.PGSQL.{address.port}.lock"]
        account = Account(locks[0].stat().st_uid, locks[0].stat().st_gid)
        contents = [lock.read_text().splitlines() for lock in locks]
    with subprocess.Popen(["sleep", "60"], **account.credentials) as stranger:
        for lock, lines in zip(locks, contents, strict=True):
            lock.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
            account.give(data_dir / "cluster")
        try:
            with EmbeddedPostgres(data_dir) as address:
                assert notes(address.url) == []
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.skipif(sys.platform == "linux" and not Path("/bin/ps").exists(), reason="no ps here")
def test_ps_sees_the_same_server_as_proc(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        server = postmaster(data_dir)
        by_ps = {process.pid: process for process in processes_of_ps()}
        mark = cluster_name(data_dir / "cluster")
        assert mark in by_ps[server.pid].command
        assert by_ps[server.pid].is_postmaster
        assert by_ps[server.pid].uid == server.uids().effective
        for child in server.children():
            assert (by_ps[child.pid].program, by_ps[child.pid].is_zombie) == ("postgres", False)
            assert f"postgres: {mark}: " in by_ps[child.pid].command
            assert not by_ps[child.pid].is_postmaster
