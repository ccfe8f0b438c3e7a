"""Tokens as a model's vocabulary counts them: o200k's, which toktok carries in its wheel."""

from __future__ import annotations

from collections.abc import Iterable

import toktok

_VOCABULARY = "o200k_base"


def count_tokens(text: str) -> int:
    return token_counts((text,))[0]


def token_counts(texts: Iterable[str]) -> list[int]:
    counts: list[int] = toktok.batch_count(map(_encodable, texts), _VOCABULARY, threads=1)
    return counts


def first_tokens(text: str, limit: int) -> str:
    """The longest beginning of `text` that ends with a whole character and takes at most `limit` tokens."""
    if limit < 1:
        return ""
    beginning: str = toktok.truncate(_encodable(text), limit, _VOCABULARY)[0]
    return beginning


def _encodable(text: str) -> str:
    """JSON can carry half of a surrogate pair, which UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
