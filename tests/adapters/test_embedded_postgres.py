"""The embedded Postgres as its owner, other processes and other users meet it."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from embedded_postgres import (
    BinariesUnavailableError,
    DataDirectoryError,
    DataDirectoryInUseError,
    DataVersionError,
    EmbeddedPostgres,
    ServerStartError,
    running_address,
)
from embedded_postgres.account import Account
from embedded_postgres.binaries import Binaries, binaries_for, installed_binaries
from embedded_postgres.cluster import prepare_cluster
from tests.adapters.embedded_postgres import (
    closed_folder,
    eventually,
    mode,
    notes,
    owned_by_another_process,
    postmaster,
    prepared_data,
    python,
    roomy_memory,
    setting,
    write,
)

IS_ROOT = os.geteuid() == 0


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


# Its files, and who gets at them.


def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    abandoned = folder / "db" / "cluster.new-of-a-crash"
    abandoned.mkdir(parents=True)
    server = EmbeddedPostgres(folder / "db")
    for note in (1, 2):
        address = server.start()
        assert server.start() is address
        with psycopg.connect(address.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS note (id bigint)")
            connection.execute("INSERT INTO note VALUES (%s)", (note,))
        server.stop()
        server.stop()
    with server as address:
        assert notes(address.url) == [1, 2]
    assert not abandoned.exists()


def test_the_database_is_durable_checked_sorted_alike_everywhere_and_off_the_network(data_dir: Path) -> None:
    expected = {"fsync": "on", "data_checksums": "on", "listen_addresses": "", "server_encoding": "UTF8"}
    with (data_dir / "cluster" / "postgresql.conf").open("a") as configuration:
        configuration.write("fsync = off\nlisten_addresses = '*'\nport = 6000\n")
    with EmbeddedPostgres(data_dir) as address, psycopg.connect(address.url) as connection:
        settings = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        assert expected.items() <= dict(settings).items()
        words = "SELECT lower('ĐƯỜNG'), array(SELECT unnest(ARRAY['ä', 'z', 'Z', 'a']) ORDER BY 1)"
        assert connection.execute(words).fetchone() == ("đường", ["Z", "a", "z", "ä"])


def test_files_and_socket_are_closed_to_other_users(folder: Path) -> None:
    with EmbeddedPostgres(folder / "db") as address:
        assert [mode(folder / "db"), mode(address.socket_dir), mode(address.socket_file)] == [0o700] * 3
        assert {mode(path) for path in (folder / "db").iterdir() if path.is_file()} == {0o600}


def test_a_data_directory_below_a_closed_home_works_and_opens_nothing(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    with EmbeddedPostgres(home / ".raptor") as address:
        assert postmaster(home / ".raptor").uids().effective != 0
        with psycopg.connect(address.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET work_mem = '7MB'")
            connection.execute("SELECT pg_reload_conf()")  # finds its files again
        assert eventually(lambda: setting(address.url, "work_mem") == "7MB")
    assert (mode(home), home.stat().st_uid, mode(folder)) == (0o700, os.geteuid(), 0o700)


def test_a_path_that_is_too_long_for_a_socket_works(prepared: Path, folder: Path) -> None:
    deep = folder / ("long" * 20) / ("longer" * 20)
    shutil.copytree(prepared, deep)
    server = EmbeddedPostgres(deep)
    sockets = server.start().socket_dir
    try:
        assert (notes(server.start().url), mode(sockets)) == ([], 0o700)
    finally:
        server.stop()
    assert not sockets.exists()
    sockets.mkdir(mode=0o755)  # somebody who was there first
    try:
        with pytest.raises(DataDirectoryError, match="belongs to somebody else"):
            server.start()
    finally:
        sockets.rmdir()


# How it is reached.


@pytest.mark.parametrize("name", ["db", "a b%20c&d=ü'"])
async def test_one_address_serves_psycopg_asyncpg_and_sqlalchemy(prepared: Path, folder: Path, name: str) -> None:
    data_dir = folder / name
    shutil.copytree(prepared, data_dir)
    server = EmbeddedPostgres(data_dir)
    address = await asyncio.to_thread(server.start)
    try:
        write(address.url, 7)
        connection = await asyncpg.connect(address.url)
        assert await connection.fetchval("SELECT id FROM note") == 7
        await connection.close()
        engine = create_async_engine(address.sqlalchemy_url)
        async with engine.connect() as session:
            assert (await session.execute(text("SELECT id FROM note"))).scalar_one() == 7
        await engine.dispose()
    finally:
        await asyncio.to_thread(server.stop)


def test_another_process_joins_the_running_server(data_dir: Path) -> None:
    assert running_address(data_dir) is None
    with owned_by_another_process(data_dir) as owner:
        address = running_address(data_dir)
        assert address is not None
        write(address.url, 1)
        owner.kill()
        assert eventually(lambda: running_address(data_dir) is None)
    with EmbeddedPostgres(data_dir) as address:
        assert running_address(data_dir) == address
        assert notes(address.url) == [1]
    assert running_address(data_dir) is None


def test_a_copy_of_a_data_directory_is_not_taken_for_the_running_one(data_dir: Path, folder: Path) -> None:
    copy = folder / "copy"
    with EmbeddedPostgres(data_dir):
        (copy / "cluster").mkdir(parents=True)
        for file in data_dir.iterdir():
            if file.is_file():
                shutil.copy(file, copy)
        assert running_address(copy) is None
        assert running_address(data_dir) is not None


def test_a_second_owner_is_told_who_the_first_is(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as address:
        with pytest.raises(DataDirectoryInUseError, match=f"{data_dir} is in use by process {os.getpid()}"):
            EmbeddedPostgres(data_dir).start()
        assert notes(address.url) == []


def test_pgvector_finds_the_nearest_rows_by_an_index_on_half_precision(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as address, psycopg.connect(address.url) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE item (id int, v vector)")
        connection.execute("INSERT INTO item SELECT i, ARRAY[1, i, 0]::vector FROM generate_series(1, 99) i")
        connection.execute("CREATE INDEX ON item USING hnsw ((v::halfvec(3)) halfvec_l2_ops)")
        connection.execute("SET enable_seqscan = off")
        query = "SELECT id FROM item ORDER BY v::halfvec(3) <-> '[1,42,0]'::halfvec(3) LIMIT 1"
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}"))
        assert "item_v_idx" in plan
        assert connection.execute(query).fetchall() == [(42,)]


PARALLEL_BUILD = """
import psycopg
from pathlib import Path
from embedded_postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as address, psycopg.connect(address.url) as connection:
    connection.add_notice_handler(lambda notice: print(notice.message_primary))
    connection.execute("CREATE EXTENSION vector")
    connection.execute("CREATE TABLE item (v vector(3)) WITH (parallel_workers = 2)")
    connection.execute("INSERT INTO item SELECT ARRAY[1, i, 0] FROM generate_series(1, 999) i")
    connection.execute("SET client_min_messages = debug1")
    connection.execute("CREATE INDEX ON item USING hnsw (v vector_l2_ops)")
"""


@pytest.mark.parametrize("memory", ["of this machine", "of a container"])
def test_an_index_is_built_in_parallel_in_whatever_shared_memory(prepared: Path, memory: str) -> None:
    prefix: tuple[str, ...] = ()
    if memory == "of a container":
        small = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
        prefix = ("unshare", "--mount", "sh", "-c", small, "sh")
        if not (IS_ROOT and shutil.which("unshare")) or subprocess.run([*prefix, "true"]).returncode != 0:
            pytest.skip("a /dev/shm of 64 MB needs root and unshare --mount")
    with tempfile.TemporaryDirectory(prefix="raptor-") as folder:  # not in that memory
        data_dir = shutil.copytree(prepared, Path(folder, "db"))
        built = subprocess.run(python(PARALLEL_BUILD, data_dir, prefix=prefix), capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    assert "using 2 parallel workers" in built.stdout


# What it refuses, and says.


def test_data_of_another_major_version_is_left_alone(data_dir: Path) -> None:
    version = data_dir / "cluster" / "PG_VERSION"
    written_by = version.read_text()
    version.write_text("16\n")
    before = {path: path.stat().st_mtime_ns for path in (data_dir / "cluster").rglob("*")}
    with pytest.raises(DataVersionError, match=r"PostgreSQL 16; the installed binaries are PostgreSQL \d+.*pg_dump"):
        EmbeddedPostgres(data_dir).start()
    assert {path: path.stat().st_mtime_ns for path in (data_dir / "cluster").rglob("*")} == before
    version.write_text(written_by)
    with EmbeddedPostgres(data_dir) as address:
        assert notes(address.url) == []


def test_files_without_a_database_are_not_taken_for_an_empty_folder(folder: Path) -> None:
    (folder / "cluster").mkdir()
    (folder / "cluster" / "base").write_text("what is left of it")
    with pytest.raises(DataDirectoryError, match="PG_VERSION is missing"):
        EmbeddedPostgres(folder).start()
    assert (folder / "cluster" / "base").exists()


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing(data_dir: Path) -> None:
    with pytest.raises(ServerStartError, match=r'FATAL:.*"max_connections"'):
        EmbeddedPostgres(data_dir, max_connections=-1).start()
    with pytest.raises(ServerStartError, match="no progress"):
        EmbeddedPostgres(data_dir, startup_timeout=0.0).start()
    with EmbeddedPostgres(data_dir) as address:
        assert notes(address.url) == []


BAIT = "a-key-in-a-statement"
# Each fails and carries the key in another place: a parameter, the text, a row that the error's details would quote.
CARRIERS = (
    ("select cast(cast(%s as text) as integer)", (BAIT,)),
    (f"select '{BAIT}'::integer", ()),
    ("insert into kept values (%s), (%s)", (BAIT, BAIT)),
    ("select pg_sleep(0.01), %s / 0", (1,)),
)
TALKATIVE = {
    "log_min_messages": "error",
    "log_min_error_statement": "error",
    "log_error_verbosity": "default",
    "log_parameter_max_length_on_error": "-1",
}


def test_a_statement_that_fails_with_a_key_in_it_is_not_in_the_log(data_dir: Path) -> None:
    log = data_dir / "postgres.log"
    with EmbeddedPostgres(data_dir) as address:
        with psycopg.connect(address.url, autocommit=True) as connection:
            connection.execute("create table kept (value text primary key)")
            fail_on_purpose(connection)
            connection.execute("select %s, pg_sleep(0.2)", (BAIT,))
        assert "ready to accept connections" in log.read_text()
        assert BAIT not in log.read_text()
        assert "ERROR" not in log.read_text()
        # So that it is seen that these statements could be there.
        with psycopg.connect(address.url, autocommit=True) as connection:
            for name, value in TALKATIVE.items():
                connection.execute(f"set {name} = '{value}'")
            fail_on_purpose(connection)
        assert log.read_text().count("ERROR") == len(CARRIERS)
        assert log.read_text().count(BAIT) > len(CARRIERS)


def fail_on_purpose(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for statement, values in CARRIERS:
        with pytest.raises(psycopg.Error):
            connection.execute(statement.encode(), values)


def test_a_long_log_is_put_aside(data_dir: Path) -> None:
    log = data_dir / "postgres.log"
    log.write_bytes(b"x" * (9 * 2**20))
    with EmbeddedPostgres(data_dir):
        assert log.stat().st_size < 2**20 < log.with_name("postgres.log.1").stat().st_size


def test_a_machine_without_binaries_is_referred_to_database_url() -> None:
    with pytest.raises(BinariesUnavailableError, match="set DATABASE_URL"):
        installed_binaries("no_such_package")


# Who runs it.


def as_user(uid: int) -> tuple[str, ...]:
    """Command prefix that runs as `uid`; with the right to read everything where the interpreter is in root's home."""
    user = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    reader = (*user, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    starts_itself = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    if IS_ROOT and shutil.which("setpriv"):
        for prefix in (user, reader):
            if subprocess.run([*prefix, sys.executable, "-c", starts_itself], capture_output=True).returncode == 0:
                return prefix
    pytest.skip("needs root, and an interpreter that others can run")


START = """\
from pathlib import Path
from embedded_postgres import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1])).start()"""


def test_a_normal_user_needs_nothing_special_and_root_takes_over(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    folder.chmod(0o755)
    outcome = subprocess.run(python(START, home / "db", prefix=as_user(nobody.pw_uid)), capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert {path.stat().st_uid for path in home.rglob("*")} == {nobody.pw_uid}
    (home / "db" / "postgres.log").write_bytes(b"x" * (9 * 2**20))
    with EmbeddedPostgres(home / "db") as address:
        assert setting(address.url, "server_encoding") == "UTF8"
        outcome = subprocess.run(python(START, home / "db", prefix=as_user(1)), capture_output=True, text=True)
    assert "DataDirectoryError" in outcome.stderr
    assert {path.stat().st_uid for path in home.rglob("*")} == {nobody.pw_uid}


def test_a_user_without_a_name_is_told_what_to_do(folder: Path) -> None:
    folder.chmod(0o777)
    outcome = subprocess.run(python(START, folder / "db", prefix=as_user(54321)), capture_output=True, text=True)
    assert "AccountError: User id 54321 has no entry in the user database" in outcome.stderr


@pytest.mark.skipif(not (IS_ROOT and shutil.which("setpriv")), reason="needs root and setpriv")
def test_root_that_may_not_become_another_user_is_told_what_to_allow(folder: Path) -> None:
    bound = ("setpriv", "--bounding-set=-setuid,-setgid")
    outcome = subprocess.run(python(START, folder / "db", prefix=bound), capture_output=True, text=True)
    assert re.search(r"AccountError: .*allow SETUID, SETGID and CHOWN", outcome.stderr)


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to become another user")
def test_binaries_in_a_closed_home_are_copied_to_where_the_server_can_run_them(folder: Path) -> None:
    installed = installed_binaries()
    package = installed.prefix.parent
    site = folder / "home" / "site-packages"
    shutil.copytree(installed.prefix, site / package.name / installed.prefix.name, symlinks=True)
    with suppress(FileNotFoundError):  # macOS has them inside the package
        shutil.copytree(package.with_name(f"{package.name}.libs"), site / f"{package.name}.libs")
    closed = Binaries(site / package.name / installed.prefix.name)
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid)
    memory = roomy_memory()
    with tempfile.TemporaryDirectory(dir=memory) as shelter, tempfile.TemporaryDirectory(dir=memory) as writable:
        os.chmod(shelter, 0o755)
        os.chmod(writable, 0o777)
        with pytest.raises(BinariesUnavailableError, match="can be written by other users"):
            binaries_for(account, closed, shelters=(Path(writable),))
        for _ in range(2):
            copied, major = binaries_for(account, closed, shelters=(Path(writable), Path(shelter)))
            assert copied.prefix.is_relative_to(shelter)
        assert len(list(Path(shelter).iterdir())) == 1
        prepare_cluster(folder / "cluster", copied, major, account, timeout=60.0)
    assert (folder / "cluster" / "PG_VERSION").read_text() == f"{major}\n"
