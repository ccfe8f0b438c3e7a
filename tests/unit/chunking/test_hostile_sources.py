"""Sources that break chunkers: huge, deep, degenerate. A quadratic step shows as the suite's time limit."""

from __future__ import annotations

import tracemalloc

import pytest

from services.chunking import chunk_markdown
from tests.unit.chunking.invariants import assert_sound

SOURCES = {
    "a line without spaces": "x" * 2_000_000,
    "a line of words": "lorem ipsum " * 100_000,
    "a line of stops": ". " * 300_000,
    "a line of dots": "." * 2_000_000,
    "a line of ideographs": "检索增强生成" * 200_000,
    "a word far away": "a" + " " * 2_000_000 + "b",
    "blank lines": "\n" * 1_000_000,
    "a word under blank lines": "\n" * 1_000_000 + "word",
    "a table of 10,000 rows": "|a|b|\n|-|-|\n" + "|1|2|\n" * 10_000,
    "a table of 5,000 columns": "|" + "a|" * 5_000 + "\n|" + "-|" * 5_000 + "\n" + ("|" + "x|" * 5_000 + "\n") * 5,
    "headings of one letter": "# h\n" * 10_000,
    "headings of all levels": "".join("#" * (number % 6 + 1) + f" h{number}\n" for number in range(10_000)),
    "headings without words": "#\n\n" * 5_000,
    "10,000 quote marks": ">" * 10_000 + " x\n",
    "quotes and lines by turns": "> # a\nb\n" * 10_000,
    "nested quotes and lines by turns": "> > # a\n> b\n" * 5_000,
    "deep lists": "".join(" " * (2 * depth) + "- x\n" for depth in range(1_000)),
    "list marks in a line": "- " * 20_000 + "x",
    "a list of 30,000 items": "- item\n" * 30_000,
    "link definitions": "".join(f"[r{number}]: http://example.org/{number}\n" for number in range(20_000)),
    "an unclosed fence": "```py\n" + "print()\n" * 30_000 + "# no heading",
    "an unclosed comment": "<!-- " + "x\n" * 50_000,
    "open tags": "<div>\n" * 30_000,
    "underlines": "a\n=\n" * 10_000,
    "thematic breaks": "---\n\n" * 10_000,
    "unclosed front matter": "---\ntitle: x\n" + "a: b\n" * 30_000,
    "control characters": "".join(map(chr, range(1, 32))) * 10_000,
    "punctuation": "!?.,;:" * 50_000,
    "one endless cluster": "e" + "\u0301" * 500_000,
    "joined emoji": "👩\u200d" * 200_000,
    "right to left": "שלום עולם. " * 30_000,
    "a heading larger than any chunk": "# " + "word " * 20_000 + "\n\ntext",
    "a header larger than any chunk": "|" + " head |" * 1_000 + "\n|" + "-|" * 1_000 + "\n|" + "x|" * 1_000,
    "an info string larger than any chunk": "``` " + "info " * 20_000 + "\ncode\n" * 1_000 + "```",
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_hostile_source_is_chunked_like_any_other(name: str) -> None:
    source = SOURCES[name]
    spans = chunk_markdown(source)
    assert_sound(source, spans, 1200, 200)
    assert len(spans) <= 1 + len(source) / 400
    for span in spans:
        assert len(str(span.meta)) <= 1400
        assert all(len(title) <= 300 for title in span.heading_path)


@pytest.mark.parametrize("word", ["x", "lorem ipsum ", "A sentence. "])
def test_a_huge_line_takes_little_more_memory_than_itself(word: str) -> None:
    source = word * (1_000_000 // len(word))
    chunk_markdown("x" * 10_000)  # what is loaded at the first use does not count
    tracemalloc.start()
    chunk_markdown(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * len(source)
