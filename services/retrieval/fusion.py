"""Two scores of a text, likeness of vectors and BM25, as one; and a passage's score shared with its neighbours.

Figures are in docs/retrieval.md. Standardised scores are added instead of ranks, because neighbours can share a score
and not a rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.retrieval.hits import Scored

# Share of a passage's score that one 75 words away gets, and how many passages each side are looked at. Dividing by
# the weights that exist is what makes it safe: otherwise documents of one passage lose to longer ones (-.17 recall@5).
DECAY = 0.4
DECAY_WORDS = 75.0
REACH = 3
WORDS_PER_TOKEN = 0.75

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation of a score over everything that was searched, not only over what was found."""

    mean: float
    deviation: float

    def standardised(self, scores: Floats) -> Floats:
        if self.deviation <= 1e-9:
            return np.zeros_like(scores)
        return (scores - self.mean) / self.deviation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may answer, or the neighbour of one. `place` counts within its generation and level; `start`, `end`
    and `overlap` are characters of its document and 0 for summaries. `found` is false for mere neighbours."""

    node_id: UUID
    level: int
    generation_id: UUID
    place: int
    similarity: float
    lexical: float
    token_cnt: int = 0
    start: int = 0
    end: int = 0
    found: bool = True


@dataclass(frozen=True, slots=True)
class Population:
    """Candidates that are compared with each other: passages, or summaries. Ordered by generation and place."""

    candidates: Sequence[Candidate]
    similarity: Moments
    lexical: Moments


def fused(population: Population, dense_weight: float) -> Floats:
    """A score a candidate, in standard deviations: `dense_weight` of likeness, the rest of BM25."""
    similarity = np.array([one.similarity for one in population.candidates], dtype=np.float64)
    lexical = np.array([one.lexical for one in population.candidates], dtype=np.float64)
    dense = population.similarity.standardised(similarity)
    return dense_weight * dense + (1 - dense_weight) * population.lexical.standardised(lexical)


def smoothed(candidates: Sequence[Candidate], scores: Floats) -> Floats:
    """Each passage's score, averaged with its neighbours' in the same document by their distance in words. The
    candidates are ordered by generation and place, so that neighbours are at most `REACH` rows apart."""
    if not candidates:
        return scores
    generations = np.unique([one.generation_id.bytes for one in candidates], return_inverse=True)[1]
    places = np.array([one.place for one in candidates])
    middles = np.array([(one.start + one.end) / 2 for one in candidates])
    characters = max(1, sum(one.end - one.start for one in candidates))
    words = middles * WORDS_PER_TOKEN * sum(one.token_cnt for one in candidates) / characters
    total, weight = scores.copy(), np.ones_like(scores)
    for apart in range(1, min(REACH, len(scores) - 1) + 1):
        near = (generations[apart:] == generations[:-apart]) & (places[apart:] - places[:-apart] <= REACH)
        share = np.where(near, DECAY ** (np.abs(words[apart:] - words[:-apart]) / DECAY_WORDS), 0.0)
        total[apart:] += share * scores[:-apart]
        weight[apart:] += share
        total[:-apart] += share * scores[apart:]
        weight[:-apart] += share
    return np.asarray(total / weight)


def ranked(population: Population, dense_weight: float, *, smooth: bool) -> list[Scored]:
    """The candidates that were found and their next neighbours, best first."""
    scores = fused(population, dense_weight)
    if smooth:
        scores = smoothed(population.candidates, scores)
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], population.candidates[row].node_id))
    return [
        Scored(population.candidates[row].node_id, population.candidates[row].level, float(scores[row]))
        for row in order
        if population.candidates[row].found
    ]
