"""Sentences of a Markdown passage, as they stand there but for the marks before them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

_FENCE = re.compile(r"\s*(?:`{3,}|~{3,})")
_APART = re.compile(r"\s*(?:#{1,6}\s|\||<|\[[^\]]+\]:|!\[|[-*_=]{3,}\s*$|:::)")  # a line that is no running text
_LINE_MARK = re.compile(r"\s*(?:>\s?|[-*+•]\s+|\d{1,3}[.)]\s+|#{1,6}\s+)*")
_END = re.compile(r"[.!?…][\"'”’»)\]*]*(?=\s)|[。！？।][”’」』)）]*")
_NO_END = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|vs|etc|No|Nr)|(?<!\w)[^\W\d_])\.$")


def sentences(text: str) -> list[str]:
    """Of the running text; where there is none, the lines of code, tables and headings."""
    running = [sentence for paragraph in _paragraphs(text) for sentence in _split(paragraph)]
    return running or [
        _unmarked(line) for line in text.splitlines() if any(map(str.isalnum, line)) and not _FENCE.match(line)
    ]


def _paragraphs(text: str) -> Iterator[str]:
    """Lines that belong together, on one line; each item of a list for itself."""
    for blank, lines in groupby(_running_lines(text), key=lambda line: not line.strip()):
        if blank:
            continue
        paragraph: list[str] = []
        for line in lines:
            unmarked = _unmarked(line)
            if paragraph and unmarked != line.strip():
                yield " ".join(paragraph)
                paragraph = []
            paragraph.append(unmarked)
        yield " ".join(paragraph)


def _running_lines(text: str) -> Iterator[str]:
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
            yield ""
        else:
            yield "" if fenced or _APART.match(line) else line


def _unmarked(line: str) -> str:
    return _LINE_MARK.sub("", line, count=1).strip()


def _split(paragraph: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(paragraph):
        sentence = paragraph[start : end.end()].strip()
        if not _NO_END.search(sentence):
            yield sentence
            start = end.end()
    if rest := paragraph[start:].strip():
        yield rest
