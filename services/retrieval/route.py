"""What mode `auto` stands for: a question that names something gets passages, one about the whole gets a digest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from services.retrieval.whole_questions import WHOLE
from services.text.words import words

Mode = Literal["auto", "collapsed", "tree_traversal", "leaves", "digest"]
UsedMode = Literal["collapsed", "tree_traversal", "leaves", "digest"]

# A question of fewer words than these is none: a slip of the hand, or a word that is looked for.
LEAST_WORDS = 2

_GENERIC = frozenset(words(WHOLE))
# Pairs of ideographs run across the words, so that these are told letter by letter.
_GENERIC_LETTERS = frozenset(letter for letter in WHOLE if "\u3040" <= letter <= "\u9fff")


@dataclass(frozen=True, slots=True)
class Route:
    mode: UsedMode
    reason: str


def route(mode: Mode, query: str, *, levels: Collection[int] = (), own_words: bool = False) -> Route:
    """`levels` are those that the filters ask for; `own_words`: the tree's summaries say more than the passages' own
    sentences do."""
    if mode != "auto":
        return Route(mode, "as asked for")
    if any(level > 0 for level in levels):
        return Route("collapsed", "the filter asks for levels above the passages")
    terms = words(query)
    if all(map(generic, terms)) and len(words(query, stop_words=True)) >= LEAST_WORDS:
        return Route("digest", "the question names nothing in particular: a digest of the whole")
    if own_words:
        return Route("collapsed", "the question names something to look for: passages, and summaries that add to them")
    return Route(
        "leaves",
        "the question names something to look for: passages; the summaries are made of the passages' own sentences",
    )


def generic(term: str) -> bool:
    return term in _GENERIC or _GENERIC_LETTERS.issuperset(term)
