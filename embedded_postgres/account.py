"""The operating system account that the server runs as.

Postgres refuses to run as root. A person who is root, on a laptop or in a container, still expects the
service to start, so the server alone runs as an unprivileged account that exists anyway (`nobody`): no
account is created, and no folder that is not ours changes its mode.
"""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from embedded_postgres.errors import AccountError, DataDirectoryError

UNPRIVILEGED = "nobody"


class Credentials(TypedDict, total=False):
    """Keyword arguments of `subprocess.Popen` that change who the child is."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def credentials(self) -> Credentials:
        return {} if self.is_ours else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make `path` and all below it this account's."""
        if self.is_ours:
            return
        for folder, _, files in os.walk(path):
            for entry in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(entry, self.uid, self.gid, follow_symlinks=False)

    def run(
        self, command: Sequence[str], *, folder: Path | None = None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end as this account, with its output captured, in a session of its own.

        `timeout` is in seconds.

        Raises:
            AccountError: root may not become another user here.
            OSError, subprocess.SubprocessError: as `subprocess.run` does.
        """
        try:
            return subprocess.run(  # noqa: S603 - our own binaries, arguments are not interpreted by a shell
                command,
                cwd=folder,
                env=bare_environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                start_new_session=True,
                **self.credentials,
            )
        except PermissionError as error:
            if self.is_ours or error.errno != errno.EPERM:  # EACCES: the program is out of reach
                raise
            raise AccountError(
                "Postgres does not run as root, and this root may not become another user (no CAP_SETUID). "
                "Run the container as a user of its own, allow SETUID, SETGID and CHOWN, or set DATABASE_URL."
            ) from error


def bare_environment() -> dict[str, str]:
    """Environment of the server's processes: none of the caller's.

    A PGPORT or LD_LIBRARY_PATH of the caller's shell would change the server, and the keys of model providers
    have no business in the environment of a database.
    """
    return {"PATH": os.defpath, "LC_ALL": "C"}


def account_for(cluster: Path) -> Account:
    """The account for the server whose files are in `cluster`, which need not exist yet.

    Ourselves, unless we are root: then the owner of existing files (somebody ran the service without sudo
    before), else `nobody`.

    Raises:
        AccountError: root without an account to change to, or an account that Postgres cannot look up.
        DataDirectoryError: the files belong to somebody else, and we are not root.
    """
    try:
        owner = cluster.stat()
    except FileNotFoundError:
        owner = None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise DataDirectoryError(
                f"The database in {cluster} belongs to user id {owner.st_uid}. Run as that user, or set "
                "RAPTOR_DATA_DIR to a folder of your own."
            )
        return _ourselves()
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    return _unprivileged()


def _ourselves() -> Account:
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise AccountError(
            f"User id {os.geteuid()} has no entry in the user database, and Postgres will not run as a "
            "user without a name. Run the container as a user that its image knows, add a line to "
            "/etc/passwd, or set DATABASE_URL."
        ) from error
    return Account(entry.pw_uid, os.getegid())


def _unprivileged() -> Account:
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise AccountError(
            f"Postgres does not run as root, and there is no user {UNPRIVILEGED!r} here to run it as. Run "
            "the service as another user, or set DATABASE_URL."
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)
