"""A digest by coverage: sentences and summaries that together say most of what the whole is about, for their length.

One greedy selection with diminishing gain (the concept coverage of Gillick and Favre, 2009, with a word as a concept):
a word is worth the number of passages that it stands in, and each further time it is said counts half as much.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType

from services.retrieval.hits import Hit
from services.retrieval.window import part_of
from services.text.extractive import stands_alone
from services.text.sentences import is_mere_link, read_sentences
from services.text.words import words

# A sentence of fewer words is charged for so many: gain a word loves shreds.
LEAST_WORDS = 12
AGAIN = 0.5  # what a word counts when it is said once more
WORDS_PER_TOKEN = 0.75
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Unit:
    """What can be taken: a sentence of a passage, or a whole summary."""

    hit: Hit
    terms: frozenset[str]
    cost: float


def digest(hits: Sequence[Hit], top_k: int, max_tokens: int, said: Mapping[str, int] = NOTHING) -> list[Hit]:
    """From passages and summaries `hits`, in the order in which they were taken; a score is the gain a word at that
    moment. `said` counts how often a word was said before."""
    worth = Counter(chain.from_iterable(set(words(hit.text)) for hit in hits))
    units = list(units_of(hits))
    told = Counter(said)

    def gain(unit: Unit) -> float:
        return float(sum(worth[term] * AGAIN ** told[term] for term in unit.terms)) / unit.cost

    # Gains only fall, so that the first unit whose stale gain is still the best after a fresh look is the best.
    waiting = [(-gain(unit), place) for place, unit in enumerate(units)]
    heapq.heapify(waiting)
    taken: list[Hit] = []
    left = max_tokens
    while waiting and len(taken) < top_k and left > 0:
        _, place = heapq.heappop(waiting)
        unit = units[place]
        if unit.hit.token_cnt > left:
            continue
        fresh = gain(unit)
        if fresh <= 0:
            continue
        if waiting and fresh < -waiting[0][0]:
            heapq.heappush(waiting, (-fresh, place))
            continue
        told.update(unit.terms)
        taken.append(replace(unit.hit, score=fresh))
        left -= unit.hit.token_cnt
    return taken


def units_of(hits: Sequence[Hit]) -> Iterator[Unit]:
    """Sentences that stand by themselves; what two passages share by overlap is there once."""
    seen: set[tuple[str, int]] = set()
    for hit in hits:
        if hit.doc_id is None or hit.start is None:
            yield unit_of(hit)
            continue
        for sentence in read_sentences(hit.text):
            at = (hit.doc_id, hit.start + sentence.end)
            if at not in seen and stands_alone(sentence) and not is_mere_link(hit.text[sentence.start : sentence.end]):
                seen.add(at)
                yield unit_of(part_of(hit, hit.start + sentence.start, hit.start + sentence.end))


def unit_of(hit: Hit) -> Unit:
    length = max(LEAST_WORDS, hit.token_cnt * WORDS_PER_TOKEN)
    return Unit(hit, frozenset(words(hit.text)), length)
