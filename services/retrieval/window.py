"""The part of a passage that a budget has room for: whole sentences around what the question asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.retrieval.hits import Hit
from services.text.sentences import split_sentences
from services.text.words import words
from utils.tokens import estimate_tokens

# What a sentence gets of the worth of each next one: an answer mostly stands beside the words of its question.
NEXT_TO = 0.5


def part_of(hit: Hit, start: int, end: int) -> Hit:
    """The passage cut to characters `start` to `end` of its document, without white space at its ends."""
    assert hit.start is not None
    text = hit.text[start - hit.start : end - hit.start]
    begin = len(text) - len(text.lstrip()) if start != hit.start else 0
    text = text[begin:]
    return replace(hit, text=text, token_cnt=estimate_tokens(text), start=start + begin, end=start + begin + len(text))


def window(hit: Hit, max_tokens: int, weights: Mapping[str, float]) -> Hit | None:
    """The passage cut to sentences in a row of at most `max_tokens` together, the best of them and what stands around
    it; None where not even the best fits. `weights` are those of the question's terms."""
    spans = split_sentences(hit.text)
    if hit.start is None or not spans:
        return None
    worth = smoothed([sum(weights.get(term, 0.0) for term in set(words(hit.text[s:e]))) for s, e in spans])
    first = last = max(range(len(spans)), key=lambda place: (worth[place], -place))
    if tokens_of(hit.text, spans, first, last) > max_tokens:
        return None
    while True:
        sides = [side for side in (first - 1, last + 1) if 0 <= side < len(spans)]
        fitting = [
            side for side in sides if tokens_of(hit.text, spans, min(side, first), max(side, last)) <= max_tokens
        ]
        if not fitting:
            return part_of(hit, hit.start + spans[first][0], hit.start + spans[last][1])
        side = max(fitting, key=lambda side: (worth[side], side))
        first, last = min(side, first), max(side, last)


def smoothed(worth: Sequence[float]) -> list[float]:
    padded = [0.0, *worth, 0.0]
    return [padded[at] + NEXT_TO * (padded[at - 1] + padded[at + 1]) for at in range(1, len(padded) - 1)]


def tokens_of(text: str, spans: Sequence[tuple[int, int]], first: int, last: int) -> int:
    return estimate_tokens(text[spans[first][0] : spans[last][1]])
