"""A conversation as a model reads it: what is asked, and the numbered texts between marks that it is asked about."""

from __future__ import annotations

import re
from dataclasses import dataclass

# <tag mark n="1" …> text </tag mark>: only the element's own mark closes it, whatever its text looks like.
_ELEMENT = re.compile(
    r'^<(?P<tag>[a-z]+) (?P<mark>\S+) n="(?P<number>\d+)"(?P<note>[^\n]*)>\n(?P<text>.*?)\n?^</(?P=tag) (?P=mark)>$',
    re.DOTALL | re.MULTILINE,
)
_OTHER_TAG = re.compile(r"^</?[a-z]+ [^\n]*>$", re.MULTILINE)
_QUESTION = re.compile(r"^\s*question\s*:(?P<question>.*)", re.IGNORECASE | re.DOTALL)
_LIST_OF_NUMBERS = re.compile(r'"(\w+)": ?\[numbers\]')
_SUMMARY = re.compile(r"\bsummar(?:y|i[sz]e)\b", re.IGNORECASE)
_MOST_WORDS = re.compile(r"\b(\d{1,6}) words")
_EXACTLY = re.compile(r"\bwrite exactly: *([^\n]+)")


@dataclass(frozen=True, slots=True)
class Element:
    """A numbered text. `begins` says that it begins a passage (`*`)."""

    number: int
    text: str
    begins: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """All system messages and all of the user's, each as one text."""

    system: str
    user: str

    @property
    def elements(self) -> list[Element]:
        found = _ELEMENT.finditer(self.user)
        return [Element(int(match["number"]), match["text"], "*" in match["note"]) for match in found]

    @property
    def question(self) -> str | None:
        """What follows `Question:` outside all elements."""
        outside = _OTHER_TAG.sub("", _ELEMENT.sub("", self.user))
        asked = _QUESTION.match(outside)
        return asked["question"].strip() if asked else None

    @property
    def lists_of_numbers(self) -> list[str]:
        """Names of the lists in the JSON object that is asked for: `{"keep": [numbers]}`."""
        return _LIST_OF_NUMBERS.findall(self.system)

    @property
    def asks_for_summary(self) -> bool:
        return _SUMMARY.search(self.system) is not None

    @property
    def most_words(self) -> int | None:
        allowed = _MOST_WORDS.search(self.system)
        return int(allowed[1]) if allowed else None

    @property
    def words_for_nothing_found(self) -> str | None:
        """What is to be written, to the letter, where the texts do not answer."""
        told = _EXACTLY.search(self.system)
        return told[1].strip() if told else None
