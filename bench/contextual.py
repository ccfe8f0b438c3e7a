"""`python -m bench.contextual`: what a contextual embedder is sent again when one passage of a document changes.

Real documents are cut as an ingest cuts them; then a sentence is added to one passage, or a paragraph between two. The
tokens are counted of those windows that no vector is kept for. Nothing is embedded: what the context is worth, only a
real model can tell.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from statistics import mean, median

from bench.corpora import corpus
from infra.embeddings.batching import window_units
from services.chunking import CHUNKERS
from services.domain import ChunkingParams, EmbeddingSpace
from services.ingest.requests import to_embed
from services.text.passage_text import indexed_passage
from utils.batching import batches
from utils.tokens import estimate_tokens

SPACE = EmbeddingSpace("voyage", "voyage-context-3", 1024)
DOLLARS_A_MILLION = 0.18
# Estimated tokens of a window, the first is what is used; 1: every passage by itself, as for a plain embedder.
WINDOWS = (28_000, 8_000, 4_000, 2_000, 1)
# Documents one after the other, so that one is longer than a window.
A_BOOK = 60
ADDED = "This was changed yesterday, after long thought."


def passages(text: str) -> list[str]:
    chunking = ChunkingParams()
    spans = CHUNKERS[chunking.chunker](text, size=chunking.size, overlap=chunking.overlap)
    return [indexed_passage(span.heading_path, text[span.start : span.end], span.meta) for span in spans]


def with_sentence(texts: Sequence[str], draw: random.Random) -> list[str]:
    place = draw.randrange(len(texts))
    return [f"{text} {ADDED}" if at == place else text for at, text in enumerate(texts)]


def with_paragraph(texts: Sequence[str], draw: random.Random) -> list[str]:
    place = draw.randrange(len(texts) + 1)
    return [*texts[:place], f"{ADDED} {draw.random()}", *texts[place:]]


def sent_again(before: Sequence[str], after: Sequence[str], window: int) -> tuple[int, int]:
    """Passages and tokens."""
    known = {key for unit in window_units(SPACE, before, window) for key in unit.keys}
    units = window_units(SPACE, after, window)
    there = {at for unit in units for at, key in zip(unit.positions, unit.keys, strict=True) if key in known}
    places = [at for unit in to_embed(units, there) for at in unit]
    return len(places), sum(estimate_tokens(after[at]) for at in places)


def figures(documents: Sequence[Sequence[str]], window: int, change: Callable[..., list[str]], seeds: int) -> str:
    found, shares = [], []
    for seed in range(seeds):
        draw = random.Random(seed)
        for before in documents:
            after = change(before, draw)
            found.append(sent_again(before, after, window))
            shares.append(found[-1][1] / sum(map(estimate_tokens, after)))
    windows = mean(len(window_units(SPACE, document, window)) for document in documents)
    tokens = [tokens for _, tokens in found]
    dollars = mean(tokens) * DOLLARS_A_MILLION / 1e6
    return (
        f"| {window:,} | {windows:.1f} | {median(count for count, _ in found):.0f} | {median(tokens):,.0f}"
        f" | {mean(tokens):,.0f} | {mean(shares):.0%} | {dollars * 1000:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="md-medium")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    cut = [passages(source.markdown) for source in corpus(given.corpus)]
    some = [texts for texts in cut if len(texts) > 1]
    books = [[text for texts in book for text in texts] for book in batches(some, A_BOOK)]
    for name, documents in (("documents", some), (f"books of {A_BOOK} documents", books)):
        for change in (with_sentence, with_paragraph):
            print(f"\n{given.corpus}, {len(documents)} {name}; {change.__name__}")
            print("| window | windows | passages, median | tokens, median | tokens, mean | share | $ a 1,000 changes |")
            print("| --- | --- | --- | --- | --- | --- | --- |")
            for window in WINDOWS:
                print(figures(documents, window, change, given.seeds))


if __name__ == "__main__":
    main()
