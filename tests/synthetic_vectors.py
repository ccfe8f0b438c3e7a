"""Vectors as text embeddings lie: nested topics, a share that all texts have in common, digressions, documents.

A vector is the unit sum of independent directions, whose squared lengths are the shares below. Directions have a
decaying spectrum, as embeddings have; all shares were set once, by eye, against embeddings of documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SHARES = {"common": 0.33, "field": 0.10, "topic": 0.12, "subtopic": 0.20, "own": 0.25}
LEAVES_A_SUBTOPIC, SUBTOPICS_A_TOPIC, TOPICS_A_FIELD = 18, 6, 5
OFF_TOPIC = 0.08  # of the leaves tell of nothing but themselves and their field
TWO_TOPICS = 0.10  # of the leaves tell of a second subtopic as well
DOCUMENT = (20, 60)  # leaves, about one topic
RUN = (1, 7)  # neighbouring leaves of a document, about one subtopic
BLOCK = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """Leaves in document order with the topics that they were made from; -1 for those off any topic."""

    subtopics: Ints
    topics: Ints
    documents: Ints
    dimensions: int
    seed: int

    def __len__(self) -> int:
        return len(self.subtopics)

    def blocks(self) -> Iterator[Floats]:
        """The unit vectors, some thousands at a time, so that a large set needs no memory."""
        rng = np.random.default_rng([self.seed, 1])
        subtopic_of = np.maximum(self.subtopics, 0)
        common, fields, topics, subtopics = (
            _directions(rng, count, self.dimensions)
            for count in (1, 1 + self.topics.max() // TOPICS_A_FIELD, 1 + self.topics.max(), 1 + subtopic_of.max())
        )
        for start in range(0, len(self), BLOCK):
            some = slice(start, start + BLOCK)
            on, topic, subtopic = self.subtopics[some] >= 0, self.topics[some], subtopic_of[some]
            own = _directions(rng, len(on), self.dimensions)
            second = _directions_of(rng, subtopics, TWO_TOPICS, len(on))
            about = (
                SHARES["topic"] ** 0.5 * topics[topic]
                + SHARES["subtopic"] ** 0.5 * subtopics[subtopic]
                + SHARES["topic"] ** 0.5 * second
            )
            own_share = np.where(on, SHARES["own"], 1 - SHARES["common"] - SHARES["field"])
            rows = SHARES["common"] ** 0.5 * common + SHARES["field"] ** 0.5 * fields[topic // TOPICS_A_FIELD]
            yield _unit(rows + on[:, None] * about + np.sqrt(own_share)[:, None].astype(np.float32) * own)

    def rows(self) -> Floats:
        return np.concatenate(list(self.blocks()))

    def write(self, path: Path) -> None:
        with path.open("wb") as file:
            for block in self.blocks():
                block.tofile(file)


def planted(leaves: int, dimensions: int = 1024, seed: int = 0) -> Planted:
    """A corpus of so many leaves; the same seed gives the same corpus."""
    rng = np.random.default_rng([seed, 0])
    count = max(3, round(leaves / LEAVES_A_SUBTOPIC))
    topic_of = np.arange(count) // SUBTOPICS_A_TOPIC
    popularity = rng.lognormal(0.0, 0.7, count)
    subtopics, documents = np.empty(leaves, np.int64), np.empty(leaves, np.int64)
    start = document = 0
    while start < leaves:
        topic = topic_of[rng.choice(count, p=popularity / popularity.sum())]
        choice = np.flatnonzero(topic_of == topic)
        stop = min(leaves, start + int(rng.integers(*DOCUMENT)))
        documents[start:stop] = document
        while start < stop:
            run = min(stop - start, int(rng.integers(*RUN)))
            subtopics[start : start + run] = rng.choice(choice, p=popularity[choice] / popularity[choice].sum())
            start += run
        document += 1
    topics = topic_of[subtopics]
    subtopics[rng.random(leaves) < OFF_TOPIC] = -1
    return Planted(subtopics, topics, documents, dimensions, seed)


def _directions(rng: np.random.Generator, count: int, dimensions: int) -> Floats:
    spectrum = 1 / np.sqrt(1 + np.arange(dimensions) / 24)
    return _unit(rng.standard_normal((count, dimensions), dtype=np.float32) * spectrum.astype(np.float32))


def _directions_of(rng: np.random.Generator, among: Floats, share: float, count: int) -> Floats:
    """One of the given directions for a share of the rows, nothing for the others."""
    chosen = among[rng.integers(0, len(among), count)]
    return chosen * (rng.random(count) < share)[:, None].astype(np.float32)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
