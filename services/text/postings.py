"""What is counted for BM25: which terms stand in which text, how often, and how long the text is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.text.index_terms import TYPED, index_terms

# What is indexed, and by which terms. Postings of another rule are made anew when the database is brought up to date.
RULE = 2


@dataclass(frozen=True, slots=True)
class Posting:
    """The texts that a term stands in: their places in the generation's order, how often it stands there, and the
    lengths of those texts in terms; three parallel sequences."""

    term: str
    places: tuple[int, ...]
    frequencies: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PostingLists:
    """All postings of one level of a generation: of a version's chunks, or of one level of a tree's summaries.

    `nodes` texts with `length` terms together, those without any term included: BM25 reckons with the mean.
    """

    level: int
    nodes: int
    length: int
    postings: tuple[Posting, ...]


def posting_lists(level: int, texts: Sequence[str]) -> PostingLists:
    """`texts` in the order of their places: 0, 1, 2, … Runs in the process pool for whole documents and levels."""
    lists: dict[str, tuple[list[int], list[int], list[int]]] = {}
    total = 0
    for place, text in enumerate(texts):
        counts = Counter(index_terms(text))
        length = sum(frequency for term, frequency in counts.items() if not term.startswith(TYPED))
        total += length
        for term, frequency in counts.items():
            places, frequencies, lengths = lists.setdefault(term, ([], [], []))
            places.append(place)
            frequencies.append(frequency)
            lengths.append(length)
    postings = tuple(Posting(term, *map(tuple, columns)) for term, columns in sorted(lists.items()))
    return PostingLists(level, len(texts), total, postings)


def indexed_text(path: Sequence[str], text: str) -> str:
    """What is indexed and embedded for a text: the titles above it stand in front, so that a passage is found by the
    topic that only its headings name. Measured: coverage at 400 words +.06 on documents with headings."""
    above = " > ".join(path)
    return f"{above}\n\n{text}" if above else text
