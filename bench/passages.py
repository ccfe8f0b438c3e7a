"""Markdown whose chunks are the leaves of `tests.synthetic_vectors`: words drawn by topic, as many as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np

from bench.corpora import Source
from tests.synthetic_vectors import planted

SYLLABLES = [a + b for a, b in product("bdfgklmnprstvz", "aeiou")]
COMMON, TOPIC, SUBTOPIC = 400, 60, 40  # words that all texts, a topic's and a subtopic's share
SHARES = (0.35, 0.15, 0.35)  # of the words of a passage; the rest are its own
LENGTH = (650, 1000)  # characters of a passage: of the service's chunks of 1,200, each holds one
SENTENCE = (7, 14)  # words


def documents(leaves: int, seed: int = 0) -> Iterator[Source]:
    """Documents of 20 to 60 passages about one topic each; `leaves` passages in all."""
    corpus = planted(leaves, dimensions=2, seed=seed)
    rng = np.random.default_rng([seed, 2])
    bounds = np.flatnonzero(np.r_[True, np.diff(corpus.documents) > 0, True])
    for number, (start, stop) in enumerate(pairwise(bounds)):
        passages = [passage(rng, int(corpus.topics[leaf]), int(corpus.subtopics[leaf])) for leaf in range(start, stop)]
        yield Source(f"document-{number:05d}.md", f"# Document {number}\n\n" + "\n\n".join(passages) + "\n")


def passage(rng: np.random.Generator, topic: int, subtopic: int) -> str:
    length, sentences, size = int(rng.integers(*LENGTH)), [], 0
    while size < length:
        sentence = " ".join(_words(rng, int(rng.integers(*SENTENCE)), topic, subtopic)).capitalize() + "."
        sentences.append(sentence)
        size += len(sentence) + 1
    return " ".join(sentences)


def _words(rng: np.random.Generator, count: int, topic: int, subtopic: int) -> list[str]:
    """Vocabularies are ranges of numbers, each number a word; a passage off any topic has common words and its own."""
    kinds = rng.choice(4, count, p=(*SHARES, 1 - sum(SHARES)))
    numbers = rng.random(count) ** 2  # a few words of a vocabulary are frequent
    words = []
    for kind, at in zip(kinds.tolist(), numbers.tolist(), strict=True):
        if kind == 1 and subtopic >= 0:
            words.append(_word(COMMON + topic * TOPIC + int(at * TOPIC)))
        elif kind == 2 and subtopic >= 0:
            words.append(_word(200_000 + subtopic * SUBTOPIC + int(at * SUBTOPIC)))
        elif kind == 0:
            words.append(_word(int(at * COMMON)))
        else:
            words.append(_word(5_000_000 + int(rng.integers(10_000_000))))
    return words


def _word(number: int) -> str:
    syllables = []
    while True:
        number, at = divmod(number, len(SYLLABLES))
        syllables.append(SYLLABLES[at])
        if number == 0:
            return "".join(syllables) if len(syllables) > 1 else syllables[0] + "s"
