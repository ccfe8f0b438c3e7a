"""What a summary says and its sources do not: numbers, names and URLs, checked in code. Pure.

It cannot tell whether a sentence is true. It does tell when a figure, a name or an address came from nowhere, which is
what readers of summaries are misled by most.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

URL = re.compile(r"https?://[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.,  ']*(?:\d|(?=\D|$))")
# Two or more words with capitals in a row, or one with an inner capital or digits: names, products, identifiers.
NAME = re.compile(
    r"\b(?:[A-ZÀ-ÞĐ][\w’'-]+(?:\s+(?:of|de|van|von|der|la|le)?\s*[A-ZÀ-ÞĐ][\w’'-]+)+|\w*[a-z]\w*[A-Z]\w*|[A-Z]{2,}\w*)\b"
)
SENTENCE_START = re.compile(r"(?:^|[.!?…:]\s+|\n)\s*$")
SMALL = {str(number) for number in range(11)}


def unsupported(summary: str, sources: Sequence[str]) -> tuple[str, ...]:
    """Claims of the summary that occur in none of its sources, in order, each once."""
    told = "\n".join(sources)
    found: dict[str, None] = {}
    urls = {plain_url(url) for url in URL.findall(told)}
    for url in URL.findall(summary):
        if plain_url(url) not in urls:
            found.setdefault(url)
    without_urls = URL.sub(" ", summary)
    numbers = {plain_number(number) for number in NUMBER.findall(told)}
    for number in NUMBER.findall(without_urls):
        plain = plain_number(number)
        if plain and plain not in numbers and plain not in SMALL:
            found.setdefault(number.strip())
    words = folded(told)
    for name in names(without_urls):
        if not all(part in words for part in folded(name).split()):
            found.setdefault(name)
    return tuple(found)


def names(text: str) -> Iterator[str]:
    for match in NAME.finditer(text):
        name = match.group()
        # A capital at the beginning of a sentence names nothing.
        if SENTENCE_START.search(text[: match.start()]) and " " in name:
            name = name.split(maxsplit=1)[1]
            if not NAME.fullmatch(name):
                continue
        yield name


def plain_number(number: str) -> str:
    """1,200.50 and 1 200.50 and 1200.5 are one number; as separators differ, only the digits count."""
    digits = re.sub(r"\D", "", number).lstrip("0")
    return digits.rstrip("0") if re.search(r"[.,]\d{1,2}$", number.strip()) else digits


def plain_url(url: str) -> str:
    return url.rstrip("/").lower()


def folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def repeats_itself(text: str) -> bool:
    """Whether an answer went round in circles: a run of words comes again and again, or one long sentence thrice."""
    words = text.split()
    if len(words) < 24:
        return len(text) > 400 and len(set(text)) < 12
    grams = [tuple(words[i : i + 6]) for i in range(len(words) - 5)]
    return len(set(grams)) < 0.6 * len(grams)
