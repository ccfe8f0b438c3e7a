"""Citations in a written answer: which statement names which sources, and what in a source it can stand on. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.text.sentences import read_sentences, split_sentences
from services.text.words import words

# [2], [1][3], [1, 3], [1-3], [source 2], 【2】; not the text of a link, and not an index in code.
_MARKER = re.compile(
    r"(?P<code>`+[^`\n]*`+)"
    r"|[\[【]\s*(?:sources?\s+|来源\s*|nguồn\s+)?(?P<numbers>\d{1,4}(?:\s*[,;、–-]\s*\d{1,4})*)\s*[\]】](?!\()",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")
_LONGEST_RANGE = 100
# The beginning of a marker whose end has not come yet.
_OPEN = re.compile(r"\s*[\[【][^\]】\n]{0,40}\Z")
# A statement stands on as many sentences of a source as it takes, up to three together.
_MOST_SENTENCES = 3
# Each further sentence has to bring so much of what the statement says, or the quotation grows without a reason.
_LEAST_GAIN = 0.15


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement, `answer[start:end]` with its markers, and the numbers that it cites, in order. `text` is without
    the markers. `place` is where a quotation stands in its source's text."""

    start: int
    end: int
    text: str
    numbers: tuple[int, ...]
    place: tuple[int, int] | None = None


def claims_of(answer: str) -> list[Claim]:
    """The answer's sentences in order, each with the markers that stand in it or follow it."""
    markers = [match for match in _MARKER.finditer(answer) if not match["code"]]
    # Blanks of the same length: what is left can be split into sentences, and every offset stays what it was.
    plain = answer
    for marker in markers:
        plain = plain[: marker.start()] + " " * (marker.end() - marker.start()) + plain[marker.end() :]
    spans = [(start, end) for start, end in split_sentences(plain) if _has_letters(plain[start:end])]
    if not spans:
        return []
    cited: list[list[int]] = [[] for _ in spans]
    ends = [end for _, end in spans]
    for marker in markers:
        # A marker belongs to what stands before it; one that begins the answer to what follows.
        owner = max((i for i, (start, _) in enumerate(spans) if start < marker.start()), default=0)
        cited[owner] += _numbers(marker["numbers"])
        ends[owner] = max(ends[owner], marker.end())
    return [
        Claim(start, last, _without_gaps(plain[start:end]), tuple(dict.fromkeys(numbers)))
        for (start, end), last, numbers in zip(spans, ends, cited, strict=True)
    ]


def _has_letters(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _without_gaps(text: str) -> str:
    return re.sub(r"[ \t]+([.,;:!?…。！？，；：)\]])", r"\1", re.sub(r"[ \t]+", " ", text)).strip()


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for match in _RANGE.finditer(text):
        first, last = int(match[1]), int(match[2] or match[1])
        found += range(first, last + 1) if first <= last <= first + _LONGEST_RANGE else [first, last]
    return found


class ClaimReader:
    """Claims of an answer that comes in parts: a claim is out as soon as the next one has begun."""

    def __init__(self) -> None:
        self._text = ""
        self._read = 0

    def feed(self, part: str) -> list[Claim]:
        self._text += part
        whole = _OPEN.sub("", self._text)
        # The last sentence may go on, and its marker may still come.
        claims = claims_of(whole[self._read :])[:-1]
        return self._out(claims)

    def rest(self) -> list[Claim]:
        return self._out(claims_of(self._text[self._read :]))

    def _out(self, claims: Sequence[Claim]) -> list[Claim]:
        base = self._read
        if claims:
            self._read += claims[-1].end
        return [Claim(base + claim.start, base + claim.end, claim.text, claim.numbers) for claim in claims]


def support_in(claim: str, source: str) -> tuple[int, int] | None:
    """The span of the source that says most of what the claim says: up to three sentences in a row, no more than it
    takes. None where they share no word."""
    wanted = set(words(claim))
    sentences = read_sentences(source)
    said = [wanted & set(words(sentence.shown)) for sentence in sentences]
    if not wanted or not any(said):
        return None
    best, best_gain = (0, 0), 0.0
    for first in range(len(sentences)):
        found: set[str] = set()
        for last in range(first, min(first + _MOST_SENTENCES, len(sentences))):
            found |= said[last]
            gain = len(found) / len(wanted) - _LEAST_GAIN * (last - first)
            if gain > best_gain + 1e-9:
                best, best_gain = (first, last), gain
    return sentences[best[0]].start, sentences[best[1]].end


def overlap(claim: str, source: str) -> float:
    """The share of the claim's words that the source has."""
    wanted = set(words(claim))
    return len(wanted & set(words(source))) / len(wanted) if wanted else 0.0
