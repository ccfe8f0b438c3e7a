"""Keys that callers brought, encrypted while a job needs them. The server's own key comes from RAPTOR_SECRET_KEY, or is
made once and kept in the data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from services.errors import MissingProviderKey

KEY_FILE = "secret.key"


class InvalidSecretKey(ValueError):
    """RAPTOR_SECRET_KEY is no key; `raptor keys secret` prints a new one."""


class FernetBox:
    """Implements `services.ports.SecretBox`. Fernet has no associated data: the job's id is sealed in with the secret
    and compared when it is opened, so that a row moved to another job opens nothing."""

    def __init__(self, keys: MultiFernet) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return "FernetBox()"

    def seal(self, secret: str, job_id: str) -> bytes:
        return self._keys.encrypt(json.dumps([job_id, secret]).encode())

    def open(self, sealed: bytes, job_id: str) -> str:
        try:
            owner, secret = json.loads(self._keys.decrypt(sealed))
        except InvalidToken:
            raise MissingProviderKey(
                "The key that was brought for this job cannot be read here: all processes need the same"
                " RAPTOR_SECRET_KEY. Bring the key again with a new upload."
            ) from None
        if owner != job_id:
            raise MissingProviderKey
        return str(secret)


def secret_box(configured: str | None, data_dir: Path) -> FernetBox:
    """`configured`: one key, or several with commas between them, the first to seal with and all to open with. Raises
    InvalidSecretKey."""
    texts = [text.strip() for text in configured.split(",")] if configured else [kept_key(data_dir)]
    try:
        return FernetBox(MultiFernet([Fernet(text.encode()) for text in texts]))
    except ValueError as error:
        raise InvalidSecretKey(" ".join((InvalidSecretKey.__doc__ or "").split())) from error


def kept_key(data_dir: Path) -> str:
    """The key in the data folder, made at the first time; only its owner can read it."""
    path = data_dir / KEY_FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        key = Fernet.generate_key().decode()
        file.write(key)
    return key
