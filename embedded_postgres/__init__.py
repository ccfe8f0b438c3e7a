"""The embedded Postgres: `EmbeddedPostgres` runs it, `running_address` joins one that another process runs.

It knows nothing of what is stored in the database, and imports nothing of the service that uses it.
POSIX only: where there is no `fcntl` (Windows), importing this package fails, and DATABASE_URL is the way.
"""

from __future__ import annotations

from embedded_postgres.address import ServerAddress, running_address
from embedded_postgres.errors import (
    AccountError,
    BinariesUnavailableError,
    DataDirectoryError,
    DataDirectoryInUseError,
    DataVersionError,
    EmbeddedPostgresError,
    ServerStartError,
)
from embedded_postgres.server import EmbeddedPostgres

__all__ = [
    "AccountError",
    "BinariesUnavailableError",
    "DataDirectoryError",
    "DataDirectoryInUseError",
    "DataVersionError",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "ServerAddress",
    "ServerStartError",
    "running_address",
]
