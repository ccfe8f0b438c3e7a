"""What the heuristic refinement drops from the public Markdown corpora, and whether any of it had to stay; and how much
it finds of page headers, page numbers and menu lines that are put between their blocks, as a conversion leaves them.

    python -m bench.refinement [--json] [--show] [corpus ...]

Needs the corpora under RAPTOR_SHARED_DATA, or in shared/data beside the checkout. Every document is looked at; MB are
UTF-8 bytes, CPU seconds those of finding the noise, parsing included, on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from bench.corpora import CorpusMissing, Source
from bench.corpora import corpus as read_corpus
from services.chunking import CHUNKERS
from services.chunking.boilerplate import PAGE_NUMBER
from services.chunking.document import parse_markdown
from services.chunking.edits import Edits
from services.chunking.guards import PROTECTED_KINDS, has_facts
from services.chunking.noise import noise

PAGE = 2500
HEADER = "The Handbook of the Brindle Tern"
CORPORA = ("md-small", "md-medium", "md-multilingual")


@dataclass(frozen=True, slots=True)
class Result:
    """`dropped` counts characters. `in_protected_blocks`: ranges that touch code, a table, HTML, a heading or front
    matter; `with_facts`: ranges with a digit, a link or code in them that are no page number. `lost`: characters, other
    than white space, that were not dropped and are in no chunk. Of `planted` lines so many were `found`."""

    corpus: str
    files: int
    files_with_noise: int
    characters: int
    dropped: int
    share: float
    ranges: int
    page_numbers: int
    in_protected_blocks: int
    with_facts: int
    lost: int
    planted: int
    found: int
    mb_per_cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", default=CORPORA)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--show", action="store_true", help="the dropped lines that come most often")
    options = parser.parse_args()
    results = []
    for name in options.corpora:
        try:
            sources = read_corpus(name)
        except CorpusMissing as error:
            print(f"{error}: set RAPTOR_SHARED_DATA", file=sys.stderr)
            continue
        result, texts = measure(name, sources)
        results.append(result)
        if options.show:
            print("\n".join(f"{times:6} {text!r}" for text, times in texts.most_common(40)))
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print("\n".join(table(results)))


def measure(name: str, sources: Sequence[Source]) -> tuple[Result, Counter[str]]:
    texts: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    seconds = 0.0
    for source in (source.markdown for source in sources):
        began = time.process_time()
        document = parse_markdown(source)
        dropped = noise(document)
        seconds += time.process_time() - began
        put, found_again = found_of(source)
        counts.update(planted=put, found=found_again)
        if not dropped:
            continue
        found = [source[start:end] for start, end in dropped]
        texts.update(found)
        pages = [PAGE_NUMBER.fullmatch(text) is not None for text in found]
        protected = [block for block in document.blocks if block.kind in PROTECTED_KINDS]
        counts.update(
            files_with_noise=1,
            ranges=len(found),
            dropped=sum(map(len, found)),
            page_numbers=sum(pages),
            in_protected_blocks=sum(
                any(block.start < end and start < block.end for block in protected) for start, end in dropped
            ),
            with_facts=sum(has_facts(text) and not page for text, page in zip(found, pages, strict=True)),
            lost=lost(source, Edits(dropped)),
        )
    characters = sum(len(source.markdown) for source in sources)
    return (
        Result(
            corpus=name,
            files=len(sources),
            characters=characters,
            share=round(counts["dropped"] / characters, 6),
            mb_per_cpu_s=round(sum(len(source.markdown.encode()) for source in sources) / seconds / 1e6, 1),
            **{
                field: counts[field]
                for field in (
                    "files_with_noise",
                    "dropped",
                    "ranges",
                    "page_numbers",
                    "in_protected_blocks",
                    "with_facts",
                    "lost",
                    "planted",
                    "found",
                )
            },
        ),
        texts,
    )


def planted(source: str) -> tuple[str, list[str]]:
    """The source as pages of some 2,500 characters, and the noise that was put between them, without the first header,
    which is to stay."""
    parts: list[str] = []
    lines: list[str] = []
    position = 0
    for block in parse_markdown(source).blocks[1:]:
        if block.start - position >= PAGE:
            page = [HEADER, f"Page {len(parts) + 1}", "Back to top"]
            parts.append(source[position : block.start] + "\n\n" + "\n\n".join(page) + "\n\n")
            lines += page
            position = block.start
    return "".join(parts) + source[position:], lines[1:]


def found_of(source: str) -> tuple[int, int]:
    """How many lines were put in and found, for a document of at least five pages."""
    noisy, lines = planted(source)
    if len(lines) < 14:
        return 0, 0
    texts = Counter(noisy[start:end] for start, end in noise(parse_markdown(noisy)))
    return len(lines), sum((texts & Counter(lines)).values())


def lost(source: str, edits: Edits) -> int:
    """Characters, other than white space, that are neither dropped nor in a chunk."""
    spans = [(span.start, span.end) for span in CHUNKERS["markdown"](source, edits=edits)]
    position, count = 0, 0
    for start, end in sorted([*spans, *edits.dropped]):
        count += len("".join(source[position:start].split()))
        position = max(position, end)
    return count + len("".join(source[position:].split()))


def table(results: Sequence[Result]) -> Iterator[str]:
    """A Markdown table."""
    yield (
        "| corpus | files | with noise | dropped | share | ranges | page numbers | in code, tables | with facts | lost"
        " | planted, found | MB/s |"
    )
    yield "|" + " --- |" * 12
    for result in results:
        yield (
            f"| {result.corpus} | {result.files} | {result.files_with_noise} | {result.dropped} | {result.share:.4%}"
            f" | {result.ranges} | {result.page_numbers} | {result.in_protected_blocks} | {result.with_facts}"
            f" | {result.lost} | {result.found} of {result.planted} | {result.mb_per_cpu_s} |"
        )


if __name__ == "__main__":
    main()
