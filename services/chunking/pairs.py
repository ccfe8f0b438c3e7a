"""Which end belongs to which beginning, for blocks of dialects that may hold each other. One pass over the text a kind,
at the first mark of that kind: an unclosed mark costs nothing more, however often it comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

NEVER = -1

_HUGO = re.compile(
    r"\{\{[<%]\s*(?P<close>/?)\s*(?P<name>[\w./-]*[\w.-])(?P<rest>[^{}]{0,2000}?)(?P<alone>/?)\s*[>%]\}\}"
)
_JEKYLL = re.compile(r"\{%-?\s*(?P<close>end)?(?P<name>\w+)(?P<rest>[^{}]{0,2000}?)(?P<alone>)-?%\}")
# What they hold is the page's own Markdown, headings included.
_CONTROL = frozenset({"raw", "if", "unless", "for", "case", "else", "elsif", "when"})
# Microsoft's `:::code … :::` ends on its own line.
_CONTAINER = re.compile(r"^[ \t]*(?P<marks>:{3,})[ \t]*(?P<name>[^\s:]?)(?!.*:::[ \t]*$)", re.MULTILINE)
_TAG = re.compile(r"<(?P<name>[A-Za-z][\w.]*)|</(?P<close>[A-Z][\w.]*)\s*>|(?P<alone>/>)")


class Pairs:
    """Mappings from the offset of a beginning to the offset after its end, in `text` with normalised line ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._known: dict[str, tuple[int, int]] = {}  # since where a closing was looked for, and where it was found

    def next(self, closing: str, begin: int) -> int:
        """The offset after the next `closing`; NEVER if there is none."""
        since, found = self._known.get(closing, (len(self.text) + 1, NEVER))
        if begin < since or NEVER < found < begin:
            found = self.text.find(closing, begin)
            self._known[closing] = (begin, found)
        return found + len(closing) if found != NEVER else NEVER

    @cached_property
    def hugo(self) -> Mapping[int, int]:
        return dict(_shortcodes(_HUGO, self.text))

    @cached_property
    def jekyll(self) -> Mapping[int, int]:
        return dict(_shortcodes(_JEKYLL, self.text))

    @cached_property
    def containers(self) -> Mapping[int, int]:
        """`:::` of MyST, Docusaurus, VitePress and Pandoc: a bare mark ends the innermost that is open."""
        open_: list[int] = []
        found: dict[int, int] = {}
        for mark in _CONTAINER.finditer(self.text):
            if mark["name"]:
                open_.append(mark.start("marks"))
            elif open_:
                found[open_.pop()] = mark.end("marks")
        return found

    @cached_property
    def components(self) -> Mapping[int, int]:
        """JSX elements with a capital letter, and tags of theirs that go over several lines."""
        return dict(_components(self.text))


def _shortcodes(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    open_: dict[str, list[int]] = {}
    for mark in pattern.finditer(text):
        name = mark["name"]
        if mark["close"]:
            if open_.get(name):
                yield open_[name].pop(), mark.end()
        elif "\n" in mark[0]:
            yield mark.start(), mark.end()  # its arguments are no Markdown; a later end takes the whole
        if not mark["close"] and not mark["alone"] and name not in _CONTROL:
            open_.setdefault(name, []).append(mark.start())


def _components(text: str) -> Iterator[tuple[int, int]]:
    open_: dict[str, list[int]] = {}
    latest: tuple[str, int] | None = None  # the tag that a `/>` would end
    for mark in _TAG.finditer(text):
        if mark["name"]:
            latest = mark["name"], mark.start()
            if mark["name"][0].isupper():
                open_.setdefault(mark["name"], []).append(mark.start())
        elif mark["close"]:
            latest = None
            if open_.get(mark["close"]):
                yield open_[mark["close"]].pop(), mark.end()
        elif latest is not None:
            name, start = latest
            latest = None
            if name[0].isupper() and open_.get(name, [NEVER])[-1:] == [start]:
                open_[name].pop()
                if "\n" in text[start : mark.end()]:
                    yield start, mark.end()
