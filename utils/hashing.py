"""Keys that follow from content alone: the same on every machine, in every version of Python and of the libraries."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

# Part of every key. It moves when the meaning of a stored result changes while its input does not.
KEY_VERSION = 1


def content_key(*parts: Any) -> bytes:
    """SHA-256 over the canonical JSON of the parts, 32 bytes. A part that JSON cannot hold raises TypeError:
    a key that cannot be made is an error, never a miss."""
    canonical = json.dumps([KEY_VERSION, *parts], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).digest()


def stable_uuid(*parts: Any) -> uuid.UUID:
    """An id that follows from what it names, so that a repeated attempt writes the same rows again."""
    plain = [str(part) if isinstance(part, uuid.UUID) else part for part in parts]
    return uuid.UUID(bytes=content_key(*plain)[:16], version=5)


def digest_of(keys: Iterable[str]) -> str:
    """SHA-256 over a sequence of keys, in hex, without building the sequence as one string."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(key.encode())
        digest.update(b"\n")
    return digest.hexdigest()
