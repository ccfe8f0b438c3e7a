"""Answers without a language model: sentences of what was found that share most with the question, word for word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from utils.sentences import read_sentences
from utils.words import words

_MOST_SENTENCES = 3
# Of the question's words, weighted by how rare they are in what was found: a sentence and the titles above it have to
# hold so much together, or nothing was found. Measured on the sample handbook's questions and others: see the tests.
_LEAST_SHARE = 0.4
# A further sentence has to bring words of the question that those before it lack, and be nearly as good.
_LEAST_OF_BEST = 0.5
_TITLE_WEIGHT = 0.5
_QUOTABLE = ("prose", "item", "table")


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence, as its reader sees it, of the source at `source`."""

    source: int
    text: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    quote: Quote
    shared: frozenset[str]
    score: float


def quotes(question: str, texts: Sequence[str], heading_paths: Sequence[tuple[str, ...]]) -> list[Quote]:
    """At most three, the best first; none where nothing that was found is about the question. The texts come best
    first, with the titles above each."""
    asked = frozenset(words(question) or words(question, stop_words=True))
    found = Counter(term for text in texts for term in asked & set(words(text)))
    weight = {term: math.log(1 + (len(texts) + 1) / (found[term] + 0.5)) for term in asked}
    candidates = sorted(_candidates(asked, weight, texts, heading_paths), key=lambda one: -one.score)
    if not candidates or candidates[0].score < _LEAST_SHARE:
        return []
    taken: list[_Candidate] = []
    covered: set[str] = set()
    for candidate in candidates:
        if len(taken) == _MOST_SENTENCES or candidate.score < _LEAST_OF_BEST * candidates[0].score:
            break
        if candidate.shared - covered and all(candidate.quote.text != one.quote.text for one in taken):
            taken.append(candidate)
            covered |= candidate.shared
    return [one.quote for one in taken]


def _candidates(
    asked: frozenset[str],
    weight: dict[str, float],
    texts: Sequence[str],
    heading_paths: Sequence[tuple[str, ...]],
) -> list[_Candidate]:
    total = sum(weight.values())
    found = []
    for source, (text, path) in enumerate(zip(texts, heading_paths, strict=True)):
        titles = asked & set(words(" ".join(path)))
        for sentence in read_sentences(text):
            shared = asked & set(words(sentence.shown))
            if sentence.kind not in _QUOTABLE or not shared:
                continue
            share = sum(weight[term] for term in shared) + _TITLE_WEIGHT * sum(weight[term] for term in titles - shared)
            # Among equals the text that retrieval puts first.
            score = share / total * (1 - 0.01 * min(source, 20))
            found.append(_Candidate(Quote(source, sentence.shown), frozenset(shared), score))
    return found
