"""Answers without a language model: sentences of what was found that share most with the question, word for word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.retrieval.hits import Hit
from services.text.sentences import read_sentences
from services.text.words import words

_MOST_SENTENCES = 3
_MOST_OF_A_WHOLE = 8
# Measured on the sample handbook's 24 questions and 20 about other things, with what retrieval finds for them: below
# this share of the question's words 3 of the 24 are taken for not answered and 3 of the 20 for answered (.30: 0 and
# 10; .40: 5 and 3). Where a passage is known, one of the three best sentences is it in 15 of 20.
_LEAST_SHARE = 0.35
# What stands above the sentence and beside it in its passage: with .8 and 0 it is 13 of 20, with .8 and .7 16,
# but 5 of the 20 others are then answered.
_TITLE_WEIGHT, _PASSAGE_WEIGHT = 0.8, 0.3
_LEAST_OF_BEST = 0.6
_QUOTABLE = ("prose", "item", "table")


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence, as its reader sees it, of the source at `source`."""

    source: int
    text: str


def quotes(question: str, texts: Sequence[str], heading_paths: Sequence[tuple[str, ...]]) -> list[Quote]:
    """At most three, the best first; none where nothing that was found is about the question. The texts come best
    first, with the titles above each."""
    asked = set(words(question) or words(question, stop_words=True))
    if not asked:
        return []
    scored: dict[str, tuple[float, int]] = {}
    for source, (text, path) in enumerate(zip(texts, heading_paths, strict=True)):
        for sentence, share in shares(asked, text, path):
            # Among equals the text that retrieval puts first; chunks overlap, so that a sentence can come twice.
            score = share * (1 - 0.01 * min(source, 20))
            if score > scored.get(sentence, (0.0, 0))[0]:
                scored[sentence] = (score, source)
    best = sorted(((score, source, sentence) for sentence, (score, source) in scored.items()), key=lambda one: -one[0])
    if not best or best[0][0] < _LEAST_SHARE:
        return []
    near = [one for one in best[:_MOST_SENTENCES] if one[0] >= _LEAST_OF_BEST * best[0][0]]
    return [Quote(source, sentence) for _, source, sentence in near]


def overview_quotes(hits: Sequence[Hit]) -> list[Quote]:
    """The answer about a whole: what its widest summary says, sentences and then a line a section; without a summary
    the first of what was found."""
    widest = next(((source, hit) for source, hit in enumerate(hits) if hit.kind != "leaf"), None)
    if widest is not None:
        first, _, sections = widest[1].text.partition("\n")
        said = [sentence.shown for sentence in read_sentences(first)] + sections.split("\n")
        return [Quote(widest[0], text) for text in said if text.strip()][:_MOST_OF_A_WHOLE]
    found = dict.fromkeys(
        Quote(source, one.shown) for source, hit in enumerate(hits) for one in read_sentences(hit.text)
    )
    return list(found)[:_MOST_OF_A_WHOLE]


def shares(asked: set[str], text: str, path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Sentences that share a word with the question, and which part of the question they and their place hold."""
    titles = asked & set(words(" ".join(path)))
    passage = asked & set(words(text))
    for sentence in read_sentences(text):
        shared = asked & set(words(sentence.shown))
        if sentence.kind in _QUOTABLE and shared:
            above = titles - shared
            beside = passage - shared - above
            held = len(shared) + _TITLE_WEIGHT * len(above) + _PASSAGE_WEIGHT * len(beside)
            yield sentence.shown, held / len(asked)
