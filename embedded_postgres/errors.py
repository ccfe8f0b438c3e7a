"""What can go wrong with the embedded Postgres, each with what to do about it in its message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EmbeddedPostgresError(RuntimeError):
    """The embedded Postgres cannot be used; the message says why and what to do."""


class BinariesUnavailableError(EmbeddedPostgresError):
    """No Postgres that runs on this machine is installed."""


class AccountError(EmbeddedPostgresError):
    """Postgres refuses to run as root, and there is no other account it could run as."""


class DataDirectoryError(EmbeddedPostgresError):
    """The data directory cannot be used: it is another user's, not writable, or not able to hold locks."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process owns the server of this data directory."""


class DataVersionError(EmbeddedPostgresError):
    """The data was written by another major version of Postgres. It has not been touched."""


class ServerStartError(EmbeddedPostgresError):
    """The server did not come up; the message ends with the last lines of its log."""


@contextmanager
def data_directory_access(path: Path) -> Iterator[None]:
    """Turn what the file system refuses to do at `path` into a `DataDirectoryError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataDirectoryError(
            f"{error.filename or path} cannot be used: {error.strerror}. Run as the user who owns it, or set "
            "RAPTOR_DATA_DIR to a folder of your own on a local disk."
        ) from error
