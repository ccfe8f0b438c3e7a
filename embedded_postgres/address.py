"""Where a running embedded server is reached, for its owner and for other processes that join it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from embedded_postgres.account import Account
from embedded_postgres.cluster import DataDirectory
from embedded_postgres.errors import DataDirectoryError, data_directory_access
from embedded_postgres.processes import cluster_name

PORT = 5432  # with no network only a part of the socket's name
# sockaddr_un holds 108 bytes on Linux and 104 on macOS, with the closing zero.
SOCKET_PATH_BYTES = 103


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The Unix socket of a server, and the database and role to use.

    The role is the cluster's superuser (only a superuser may create the extension pgvector, and row-level
    security does not bind it). The socket admits every role: `dataclasses.replace(address, user=...)` gives
    the address for another one.
    """

    socket_dir: Path
    port: int
    database: str
    user: str

    @property
    def url(self) -> str:
        """For libpq (psycopg, psql, pg_dump) and asyncpg; `sqlalchemy_url` is the one for SQLAlchemy."""
        return f"postgresql://{self._location}"

    @property
    def sqlalchemy_url(self) -> str:
        """For SQLAlchemy on asyncpg."""
        return f"postgresql+asyncpg://{self._location}"

    @property
    def _location(self) -> str:
        user, database = quote(self.user, safe=""), quote(self.database, safe="")
        return f"{user}@/{database}?host={quote(str(self.socket_dir), safe='')}&port={self.port}"

    @property
    def socket_file(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{self.port}"


def running_address(data_dir: Path) -> ServerAddress | None:
    """The address of the server that another process runs on `data_dir`, or None when none is running.

    Raises:
        DataDirectoryError: the server belongs to another user.
    """
    directory = DataDirectory(data_dir.absolute())
    with data_directory_access(directory.address):
        try:
            record = json.loads(directory.address.read_text())
            cluster = cluster_name(directory.cluster)
        except FileNotFoundError:
            return None
        if record.pop("cluster") != cluster:
            return None  # a copy of a data directory, made while its server was running
        address = ServerAddress(**{**record, "socket_dir": Path(record["socket_dir"])})
        return address if answers(address) else None


def publish(address: ServerAddress, directory: DataDirectory) -> None:
    """Write `address` for other processes to find; they see all of it or nothing."""
    record = asdict(address) | {
        "socket_dir": str(address.socket_dir),
        "cluster": cluster_name(directory.cluster),
    }
    draft = directory.address.with_name(f"{directory.address.name}.new")
    draft.write_text(json.dumps(record))
    draft.chmod(0o600)
    draft.replace(directory.address)


def socket_folder(cluster: Path, account: Account) -> Path:
    """The folder for the server's socket: the cluster itself, or a short one in the temporary folder.

    The cluster is the right place: mode 0700, the server's own. But the path of a socket has a limit of about
    a hundred bytes. The short folder's name can be guessed, so one that is there already is used only if it
    belongs to the server's account and is closed to others. Postgres touches its socket now and then, which
    keeps cleaners of temporary files away.

    Raises:
        DataDirectoryError: somebody else has a folder of that name.
    """
    if _fits(cluster):
        return cluster
    name = f"raptor-postgres-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]}-{account.uid}"
    # TMPDIR may be a folder of root's own, or too long itself.
    bases = (tempfile.gettempdir(), "/tmp") if account.is_ours else ("/tmp",)  # noqa: S108 - ownership is checked
    folder = next(path for base in bases if _fits(path := Path(base) / name))
    try:
        folder.mkdir(mode=0o700)
        account.give(folder)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o077:
            raise DataDirectoryError(
                f"{folder} is needed for the server's socket but belongs to somebody else. Remove it, or set "
                "RAPTOR_DATA_DIR to a path of less than 80 characters."
            ) from None
    return folder


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES


def answers(address: ServerAddress) -> bool:
    """Whether a server listens at `address`."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(os.fspath(address.socket_file))
        except PermissionError:
            raise
        except OSError:
            return False
    return True
