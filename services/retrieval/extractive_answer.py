"""Answers without a language model: what was found that answers the question best, word for word.

A word of the question weighs by its rarity: what everything speaks of says nothing about where the answer stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.retrieval.hits import Hit
from services.retrieval.question import is_asking, is_spaceless, read_question
from services.retrieval.quotable import Quotable, quotables
from services.retrieval.shape import Shape, fitness, shape_of
from services.text.sentences import read_sentences
from services.text.words import words

_MOST_QUOTES = 3
_MOST_OF_A_WHOLE = 8
# Below this share of the question's weight nothing is quoted: what was found shares words with it by chance.
_LEAST_SHARE, _LEAST_SHARE_OF_PAIRS = 0.5, 0.35
# What stands above a sentence, and beside it in its passage, counts less than what it says itself.
_TITLE_WEIGHT, _PASSAGE_WEIGHT = 0.7, 0.3
_LEAST_OF_BEST = 0.7
_BARE = 0.6  # what a heading-like line, a caption or a line of code counts
# A pair of ideographs that no text has is mostly the end of one word and the beginning of the next.
_UNKNOWN_PAIR = 0.05
# A word that no passage has: what the question is about is not here.
_UNKNOWN_WORD = 1.1
_ASKING_WORD = 0.3  # "What happens if …": rare in texts, and not what is asked about
_LATER = 0.02  # what each source before it costs a sentence
_LONG = 60  # words of a quotation from which on it is charged for its length


@dataclass(frozen=True, slots=True)
class Quote:
    """What is quoted of the source at `source`, as its reader sees it, and from where to where it stands in the
    source's text; None where it is to be looked for."""

    source: int
    text: str
    place: tuple[int, int] | None


def quotes(question: str, hits: Sequence[Hit], rarity: Mapping[str, float]) -> list[Quote]:
    """At most three, the best first; none where nothing that was found is about the question. The hits come best
    first. `rarity` is the weight of the question's terms; one that it lacks counts as much as the rarest."""
    text = read_question(question).text
    asked = frozenset(words(text) or words(text, stop_words=True))
    if not asked:
        return []
    weights = {term: weight_of(term, rarity) for term in asked}
    shape = shape_of(question)
    scored: dict[str, tuple[float, float, Quote]] = {}
    for source, hit in enumerate(hits):
        for unit, share, with_passage in shares(weights, hit):
            score = with_passage * worth(shape, asked, unit) / (1 + _LATER * source)
            if score > scored.get(unit.text, (0.0,))[0]:
                scored[unit.text] = (score, share, Quote(source, unit.text, (unit.start, unit.end)))
    best = sorted(scored.values(), key=lambda one: -one[0])
    least = _LEAST_SHARE_OF_PAIRS if 2 * sum(map(is_spaceless, asked)) > len(asked) else _LEAST_SHARE
    best = [one for one in best if one[1] >= least]
    if not best:
        return []
    return without_repeats([one[2] for one in best if one[0] >= _LEAST_OF_BEST * best[0][0]])[:_MOST_QUOTES]


def weight_of(term: str, rarity: Mapping[str, float]) -> float:
    rarest = max(rarity.values(), default=1.0)
    known = rarity.get(term)
    if known is not None:
        return max(known, 0.05) * (_ASKING_WORD if is_asking(term) else 1.0)
    if is_asking(term):
        return _ASKING_WORD * rarest
    return rarest * (_UNKNOWN_PAIR if is_spaceless(term) else _UNKNOWN_WORD)


def shares(weights: Mapping[str, float], hit: Hit) -> Iterator[tuple[Quotable, float, float]]:
    """What can be quoted and shares a word with the question; the share of the question's weight that it holds under
    its titles; and with what its passage holds beside."""
    total = sum(weights.values())
    titles = weights.keys() & set(words(" ".join(hit.heading_path)))
    passage = weights.keys() & set(words(hit.text))
    for unit in quotables(hit.text):
        own = weights.keys() & set(words(unit.matched))
        if not own:
            continue
        above = (titles | (weights.keys() & set(words(unit.beside)))) - own
        beside = passage - own - above
        held = sum(weights[term] for term in own) + _TITLE_WEIGHT * sum(weights[term] for term in above)
        yield unit, held / total, (held + _PASSAGE_WEIGHT * sum(weights[term] for term in beside)) / total


def worth(shape: Shape, asked: frozenset[str], unit: Quotable) -> float:
    """By what a quotation would be preferred to another that holds as much of the question."""
    fit = fitness(shape, asked, unit.text, brings=unit.brings)
    length = len(words(unit.text, stop_words=True))
    return fit * (_BARE if unit.bare else 1.0) * min(1.0, math.pow(_LONG / max(1, length), 0.25))


def without_repeats(found: Sequence[Quote]) -> list[Quote]:
    """Each once: what a lead-in brought is not quoted again."""
    kept: list[Quote] = []
    for quote in found:
        if not any(quote.text.rstrip(".;,") in other.text or other.text in quote.text for other in kept):
            kept.append(quote)
    return kept


def overview_quotes(hits: Sequence[Hit]) -> list[Quote]:
    """The answer about a whole: what its widest summary says, sentences and then a line a section; without a summary
    the first of what was found."""
    widest = next(((source, hit) for source, hit in enumerate(hits) if hit.kind != "leaf"), None)
    if widest is not None:
        first, _, sections = widest[1].text.partition("\n")
        said = [sentence.shown for sentence in read_sentences(first)] + sections.split("\n")
        return [Quote(widest[0], text, None) for text in said if text.strip()][:_MOST_OF_A_WHOLE]
    found: dict[str, Quote] = {}
    for source, hit in enumerate(hits):
        for one in read_sentences(hit.text):
            found.setdefault(one.shown, Quote(source, one.shown, (one.start, one.end)))
    return list(found.values())[:_MOST_OF_A_WHOLE]
