"""Summaries: sentences of all passages, in their order, within the words that are allowed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from fake_provider.sentences import sentences
from fake_provider.tokens import count_tokens, first_tokens

_DEFAULT_WORDS = 150
_TITLE_CHARACTERS = 32
_BEFORE_A_TITLE = re.compile(r"^\W+")
_AFTER_A_TITLE = re.compile(r"\W+$")


def summary(passages: Sequence[str], most_words: int | None, seed: int) -> str:
    """A title, an empty line, and the sentences. Seed 0 takes the first ones of each passage, any other its own
    choice."""
    allowed = most_words or _DEFAULT_WORDS
    text = " ".join(_chosen([sentences(passage) for passage in passages], allowed, seed))
    if not text:
        return "Untitled\n\nThe passages are empty."
    if _words_in(text) > allowed:
        text = first_tokens(text, max(1, allowed * 4 // 3))
    return f"{title(text)}\n\n{text}"


def title(text: str) -> str:
    """The first words, as many as fit."""
    beginning = _BEFORE_A_TITLE.sub("", text)
    fitting = beginning[:_TITLE_CHARACTERS]
    if len(beginning) > len(fitting) and " " in fitting and not beginning[len(fitting)].isspace():
        fitting = fitting.rsplit(" ", 1)[0]
    return _AFTER_A_TITLE.sub("", fitting) or "Untitled"


def _chosen(passages: Sequence[Sequence[str]], allowed: int, seed: int) -> list[str]:
    """Turn by turn one sentence of each passage while they fit, none twice; after the first turn at most half of all
    words. The very first is taken in any case."""
    sizes = [list(map(_words_in, passage)) for passage in passages]
    orders = [_order(passage, seed) for passage in passages]
    taken: list[set[int]] = [set() for _ in passages]
    said: set[str] = set()
    most, spent = allowed, 0
    for turn in range(max(map(len, orders), default=0)):
        for place, order in enumerate(orders):
            if turn >= len(order) or passages[place][order[turn]] in said:
                continue
            size = sizes[place][order[turn]]
            if spent + size <= most or not spent:
                taken[place].add(order[turn])
                said.add(passages[place][order[turn]])
                spent += size
        most = min(allowed, sum(map(sum, sizes)) // 2)
    return [passages[place][index] for place, indices in enumerate(taken) for index in sorted(indices)]


def _order(passage: Sequence[str], seed: int) -> list[int]:
    if seed == 0:
        return list(range(len(passage)))
    return sorted(range(len(passage)), key=lambda index: _draw(seed, passage[index]))


def _draw(seed: int, text: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{text}".encode("utf-8", "replace"), digest_size=8).digest()


def _words_in(text: str) -> int:
    """Where words are not set apart, four tokens count for three words."""
    return max(len(text.split()), count_tokens(text) * 3 // 4)
