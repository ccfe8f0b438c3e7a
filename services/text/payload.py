"""Text that is no language: encoded pictures, hashes, minified code. It stays where it stands; to models, to the index
and to the chunker's measure it is one mark."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

MARK = "…"
Span = tuple[int, int]

_DATA_URI = re.compile(
    r"data:[\w.+-]{0,40}/?[\w.+-]{0,60}(?:;[\w.+-]{1,40}(?:=[\w.+-]{1,60})?){0,6}"
    r"(?:;base64,[A-Za-z0-9+/=_%-]{64,}|,[^\s\"'()<>]{64,})"
)
_INTEGRITY = re.compile(r"\bsha(?:1|256|384|512)[-:][A-Za-z0-9+/=]{28,}")
_HEX = re.compile(
    r"(?<![0-9A-Za-z_-])(?:0x)?[0-9a-fA-F]{32,}(?![0-9A-Za-z_-])"
    r"|(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}[ :]){31,}[0-9a-fA-F]{2}(?![0-9A-Za-z])"
    r"|(?:0x[0-9a-fA-F]{1,8}(?:,\s{0,20}|(?=[^0-9A-Za-z]))){16,}"
)
# A run, or lines of one width as mail and keys are wrapped.
_ENCODED = re.compile(
    r"^[ \t>]{0,8}[A-Za-z0-9+/]{60,100}(?:\r?\n[ \t>]{0,8}[A-Za-z0-9+/]{60,100})++"
    r"(?:\r?\n[ \t>]{0,8}[A-Za-z0-9+/]+)?={0,2}[ \t]*$"
    r"|(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{100,}+={0,2}",
    re.MULTILINE,
)
_LONG_LINE = re.compile(r"^[^\n]{500,}$", re.MULTILINE)
_CODE_MARKS = frozenset("{};=()")
_LETTER, _DIGIT, _CAPITAL, _SMALL = (re.compile(f"[{kind}]") for kind in ("A-Fa-f", "0-9", "A-Z", "a-z"))
# Shortest text that any of the patterns matches.
_SHORTEST = 32
# A hash or a token counts for the length of a passage like any word; what is longer than this would be passages of
# its own.
LONGEST_COUNTED = 300


def payload_spans(text: str) -> list[Span]:
    """Ranges of `text` that are no language, ascending and apart, without white space around."""
    if len(text) < _SHORTEST:
        return []
    found: list[Span] = []
    for span in sorted(_candidates(text)):
        if found and span[0] < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], span[1])
        else:
            found.append(span)
    return found


def without_payload(text: str) -> str:
    """The text with a mark for each."""
    return thin(text).text


def _candidates(text: str) -> Iterator[Span]:
    if "data:" in text:
        yield from (match.span() for match in _DATA_URI.finditer(text))
    if "sha" in text:
        yield from (match.span() for match in _INTEGRITY.finditer(text))
    for match in _HEX.finditer(text):
        if _LETTER.search(match[0]) and _DIGIT.search(match[0]):
            yield match.span()
    for match in _ENCODED.finditer(text):
        if _is_encoded(match[0]):
            yield _trimmed(text, *match.span())
    for match in _LONG_LINE.finditer(text):
        if _is_minified(match[0]):
            yield _trimmed(text, *match.span())


def _is_encoded(text: str) -> bool:
    """Capitals, small letters and digits by turns; a path or a name in many parts has more separators."""
    sample = text[:2_000]
    separators = sum(map(sample.count, "/_-"))
    return all(
        len(kind.findall(sample)) * 20 > len(sample) for kind in (_CAPITAL, _SMALL, _DIGIT)
    ) and separators * 16 <= len(sample)


def _is_minified(line: str) -> bool:
    """Code in one line: hardly a space, many marks, and no Markdown link or table."""
    sample = line[:4_000]
    if not sample.isascii() or "](" in sample or sample.lstrip()[:1] == "|":
        return False
    marks = sum(map(sample.count, _CODE_MARKS))
    letters = sum(map(str.isalpha, sample))
    return sample.count(" ") * 16 < len(sample) and marks * 12 > len(sample) and letters * 5 > 2 * len(sample)


def _trimmed(text: str, start: int, end: int) -> Span:
    found = text[start:end]
    return start + len(found) - len(found.lstrip()), end - len(found) + len(found.rstrip())


@dataclass(frozen=True, slots=True)
class ThinText:
    """A text with a mark for each payload. `marks` are the places of the marks in it, `spans` those of what they stand
    for in the original, `saved` how many characters shorter it is after each."""

    text: str
    marks: Sequence[int]
    spans: Sequence[Span]
    saved: Sequence[int]

    def original(self, place: int) -> int:
        """The offset in the original; a boundary never lies within a mark."""
        before = bisect_left(self.marks, place)
        return place + (self.saved[before - 1] if before else 0)

    def place(self, offset: int) -> int:
        """The offset here; within a payload that of its mark."""
        before = bisect_left(self.spans, (offset, 0))
        if not before:
            return offset
        return self.marks[before - 1] if offset < self.spans[before - 1][1] else offset - self.saved[before - 1]


def thin(text: str, least: int = 0) -> ThinText:
    """With a mark for each payload of at least so many characters."""
    spans = [(start, end) for start, end in payload_spans(text) if end - start >= least]
    if not spans:
        return ThinText(text, (), (), ())
    bounds = [0, *(end for _, end in spans)]
    parts = [text[start : span[0]] for start, span in zip(bounds, spans, strict=False)]
    saved = list(accumulate(end - start - len(MARK) for start, end in spans))
    marks = [start - (saved[number - 1] if number else 0) for number, (start, _) in enumerate(spans)]
    return ThinText(MARK.join([*parts, text[bounds[-1] :]]), marks, spans, saved)
