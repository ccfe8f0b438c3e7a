"""What can be quoted of a passage: sentences with what they lead in, rows with their table's head, code. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.text.extractive import stands_alone
from services.text.sentences import ReadSentence, is_mere_link, read_sentences

# Items or lines that a sentence brings.
_MOST_BROUGHT = 6
# Sentences that a question in the text (of a list of frequent ones) brings.
_MOST_ANSWERING = 3
_MOST_UNDER = 2  # sentences that a heading brings
_LEADS_IN, _ASKS = frozenset(":："), frozenset("?？؟")
_DIRECTIVE = re.compile(r"\{[{%*]")  # of a documentation generator: code that is not here
_RULER = re.compile(r"[|\s:–-]+$")


@dataclass(frozen=True, slots=True)
class Quotable:
    """`text` as it is shown, from characters `start` to `end` of its passage. `matched` is what a question is compared
    with, `beside` the heading above it and the head of its table. `bare`: to be quoted only where nothing else fits."""

    start: int
    end: int
    text: str
    matched: str
    beside: str = ""
    brings: bool = False
    bare: bool = False


def quotables(passage: str) -> Iterator[Quotable]:
    sentences = [
        one for one in read_sentences(passage) if one.kind != "other" and not is_mere_link(passage[one.start : one.end])
    ]
    head: Sequence[str] = ()
    heading = ""
    for place, sentence in enumerate(sentences):
        before = sentences[place - 1] if place else None
        if sentence.kind == "table":
            if before is None or before.kind != "table":
                head = _cells(sentence.shown)
            elif not _RULER.match(sentence.shown):
                yield _row(sentence, head, heading)
        elif sentence.kind == "code" and not _DIRECTIVE.match(sentence.shown):
            yield Quotable(
                sentence.start, sentence.end, f"`{sentence.shown.strip()}`", sentence.shown, heading, bare=True
            )
        elif sentence.kind == "heading":
            heading = sentence.shown
            if under := _under(sentences, place):
                yield _with(sentence, under, heading)
        elif sentence.kind in ("prose", "item"):
            brought = _brought(sentences, place)
            yield _with(sentence, brought, heading) if brought else _alone(sentence, heading)


def _alone(sentence: ReadSentence, heading: str) -> Quotable:
    shown = sentence.shown
    bare = not stands_alone(sentence) or shown.rstrip("*_ ")[-1:] in _ASKS
    return Quotable(sentence.start, sentence.end, shown, shown, heading, bare=bare)


def _brought(sentences: Sequence[ReadSentence], place: int) -> Sequence[ReadSentence]:
    """What a lead-in or a question in the text stands before; () where it is neither."""
    ending = sentences[place].shown.rstrip("*_ ")[-1:]
    rest = sentences[place + 1 :]
    if not rest or ending not in _LEADS_IN | _ASKS:
        return ()
    if ending in _LEADS_IN:
        return _while(rest, rest[0].kind, _MOST_BROUGHT) if rest[0].kind in ("item", "code", "table") else ()
    answer = _while(rest, "prose", _MOST_ANSWERING)
    return [
        one for at, one in enumerate(answer) if not any(s.shown.rstrip("*_ ")[-1:] in _ASKS for s in answer[: at + 1])
    ]


def _under(sentences: Sequence[ReadSentence], place: int) -> Sequence[ReadSentence]:
    """What a heading that may be the question itself stands over: a list, or the first sentences."""
    rest = sentences[place + 1 :]
    if rest and rest[0].kind == "item":
        return _while(rest, "item", _MOST_BROUGHT)
    return [one for one in _while(rest, "prose", _MOST_UNDER) if stands_alone(one)]


def _while(sentences: Sequence[ReadSentence], kind: str, most: int) -> list[ReadSentence]:
    found: list[ReadSentence] = []
    for sentence in sentences[:most]:
        if sentence.kind != kind or _DIRECTIVE.match(sentence.shown):
            break
        found.append(sentence)
    return found


def _with(sentence: ReadSentence, brought: Sequence[ReadSentence], heading: str) -> Quotable:
    """A sentence and what it brings as one; the answer of a question or heading alone: it was asked already."""
    matched = " ".join([sentence.shown, *(one.shown for one in brought)])
    if sentence.kind == "heading" or sentence.shown.rstrip("*_ ")[-1:] in _ASKS:
        text = (" " if brought[0].kind == "prose" else "; ").join(one.shown for one in brought)
        asked = sentence.shown if sentence.kind == "heading" else matched
        return Quotable(brought[0].start, brought[-1].end, text, asked, heading)
    kind = brought[0].kind
    if kind == "code":
        text = sentence.shown + " " + " ".join(f"`{one.shown.strip()}`" for one in brought)
    elif kind == "table":
        rows = [cells for one in brought if not _RULER.match(one.shown) for cells in [_cells(one.shown)]]
        text = sentence.shown + " " + "; ".join(", ".join(filter(None, cells)) for cells in rows)
    else:
        text = sentence.shown + " " + "; ".join(one.shown.rstrip(".;,") for one in brought)
    return Quotable(sentence.start, brought[-1].end, text, matched, heading, brings=True)


def _row(sentence: ReadSentence, head: Sequence[str], heading: str) -> Quotable:
    """A row as it would be read out: each cell after the name of its column."""
    cells = _cells(sentence.shown)
    named = [
        f"{name}: {cell}" if name and place else cell
        for place, (name, cell) in enumerate(zip([*head, *[""] * len(cells)], cells, strict=False))
        if cell
    ]
    return Quotable(sentence.start, sentence.end, ", ".join(named), sentence.shown, beside=" ".join([heading, *head]))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]
