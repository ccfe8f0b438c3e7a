"""What a provider's answer says about tokens."""

from __future__ import annotations

from typing import Any


def reported_tokens(usage: Any, name: str) -> int:
    """A count out of an answer's `usage`; 0 where the answer does not tell it, or tells no number of tokens. SDKs hand
    on what a server sends without looking at it."""
    value = getattr(usage, name, None)
    return value if type(value) is int and value > 0 else 0
