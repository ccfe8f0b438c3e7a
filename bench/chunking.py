"""Chunkers over the public Markdown corpora: speed, lengths, and what they tear apart. Nothing is sampled.

    python -m bench.chunking [--json] [corpus ...]

Needs the corpora under RAPTOR_SHARED_DATA, or in shared/data beside the checkout. Figures are for one core: MB are
UTF-8 bytes, CPU seconds are those of chunking alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

from bench.corpora import corpus as read_corpus
from services.chunking import CHUNKERS
from services.chunking.document import Block, MarkdownDocument, parse_markdown

CORPORA = ("md-small", "md-medium", "md-multilingual")
SIZE, OVERLAP = 1200, 200
SHORT = 200

Span = tuple[int, int]
Chunk = Callable[[str], list[Span]]


@dataclass(frozen=True)
class Result:
    """`headings_torn`: chunks that end with a heading which has text. `fences_torn`: code blocks that would have fitted
    with the headings right above them and are in no chunk as a whole. `in_torn_fence`: share of chunks that hold part
    of a cut code block, whether it would have fitted or not. `lost`: characters, other than white space, that no chunk
    holds by its own start and end."""

    corpus: str
    chunker: str
    mb_per_cpu_s: float
    chunks: int
    p10: int
    p50: int
    p90: int
    max: int
    short: float
    headings: int
    headings_torn: int
    fences: int
    fences_torn: int
    in_torn_fence: float
    lost: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", default=CORPORA)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    results = [
        measure(corpus, name, chunk, documents)
        for corpus in options.corpora
        for documents in [[source.markdown for source in read_corpus(corpus)]]
        for name, chunk in chunkers().items()
    ]
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print("\n".join(table(results)))


def chunkers() -> dict[str, Chunk]:
    """Ours, and LangChain's Markdown separators with start indexes for comparison."""
    splitter = RecursiveCharacterTextSplitter.from_language(
        Language.MARKDOWN, chunk_size=SIZE, chunk_overlap=OVERLAP, add_start_index=True
    )

    def langchain(source: str) -> list[Span]:
        found = splitter.create_documents([source])
        starts = [document.metadata["start_index"] for document in found]
        return [(start, start + len(document.page_content)) for start, document in zip(starts, found, strict=True)]

    def ours(name: str) -> Chunk:
        return lambda source: [(span.start, span.end) for span in CHUNKERS[name](source, size=SIZE, overlap=OVERLAP)]

    return {name: ours(name) for name in CHUNKERS} | {"langchain": langchain}


def measure(corpus: str, name: str, chunk: Chunk, documents: Sequence[str]) -> Result:
    chunk("# A document to load the libraries with\n\n" + "words, " * 1000)
    began = time.process_time()
    spans = [chunk(source) for source in documents]
    seconds = time.process_time() - began
    lengths = np.array([end - start for found in spans for start, end in found])
    torn = Torn()
    for source, found in zip(documents, spans, strict=True):
        torn.look_at(parse_markdown(source), found)
    percentiles = np.percentile(lengths, [10, 50, 90, 100]).astype(int).tolist()
    return Result(
        corpus=corpus,
        chunker=name,
        mb_per_cpu_s=round(sum(len(source.encode()) for source in documents) / seconds / 1e6, 2),
        chunks=len(lengths),
        **dict(zip(("p10", "p50", "p90", "max"), percentiles, strict=True)),
        short=round(float((lengths < SHORT).mean()), 4),
        headings=torn.headings,
        headings_torn=torn.headings_torn,
        fences=torn.fences,
        fences_torn=torn.fences_torn,
        in_torn_fence=round(torn.in_torn_fence / len(lengths), 4),
        lost=sum(lost(source, found) for source, found in zip(documents, spans, strict=True)),
    )


class Torn:
    """Counts what the chunks of many documents tear apart, by the blocks that a CommonMark parser sees."""

    def __init__(self) -> None:
        self.headings = self.headings_torn = self.fences = self.fences_torn = self.in_torn_fence = 0

    def look_at(self, document: MarkdownDocument, spans: Sequence[Span]) -> None:
        ends = {end for _, end in spans}
        for heading, following in pairwise(document.blocks):
            if heading.kind == "heading" and has_text(document, heading, following):
                self.headings += 1
                self.headings_torn += heading.end in ends
        cut: set[Span] = set()
        for first, fence in with_headings(document):
            whole = any(start <= fence.start and fence.end <= end for start, end in spans)
            if fence.end - first <= SIZE:
                self.fences += 1
                self.fences_torn += not whole
            if not whole:
                cut |= {(start, end) for start, end in spans if start < fence.end and fence.start < end}
        self.in_torn_fence += len(cut)


def has_text(document: MarkdownDocument, heading: Block, following: Block) -> bool:
    depth = document.sections[heading.section].depth
    return following.section == heading.section or document.sections[following.section].depth > depth


def with_headings(document: MarkdownDocument) -> Iterator[tuple[int, Block]]:
    """Every code block, and where the headings right above it begin."""
    first: int | None = None
    for block in document.blocks:
        if block.is_lead:
            first = block.start if first is None else first
            continue
        if block.kind == "fence":
            yield block.start if first is None else first, block
        first = None


def lost(source: str, spans: Sequence[Span]) -> int:
    position, count = 0, 0
    for start, end in spans:
        count += len("".join(source[position:start].split()))
        position = max(position, end)
    return count + len("".join(source[position:].split()))


def table(results: Sequence[Result]) -> Iterator[str]:
    """A Markdown table."""
    yield "| corpus | chunker | MB/s | chunks | p10/50/90/max | short | headings torn | fences torn | in one | lost |"
    yield "|" + " --- |" * 10
    for result in results:
        lengths = f"{result.p10} / {result.p50} / {result.p90} / {result.max}"
        yield (
            f"| {result.corpus} | {result.chunker} | {result.mb_per_cpu_s} | {result.chunks} | {lengths} "
            f"| {result.short:.2%} | {result.headings_torn} of {result.headings} "
            f"| {result.fences_torn} of {result.fences} | {result.in_torn_fence:.1%} | {result.lost} |"
        )


if __name__ == "__main__":
    main()
