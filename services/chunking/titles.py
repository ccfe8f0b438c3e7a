"""A heading's inline Markdown as the plain words that a reader sees."""

from __future__ import annotations

import html
import re

from utils.boundaries import grapheme_floor

MAX_TITLE = 300
# Markup makes a title longer than its words; past this the rest of a line is not looked at.
_MAX_SOURCE = 4 * MAX_TITLE

_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_ATTRIBUTES = re.compile(r"(?:\s+|\A)(?:\{:?\s*[#.][^{}]*\}|\{/\*[^{}]*\*/\})\s*\Z")
_CODE = re.compile(r"(`+)(?!`)(?P<code>.+?)(?<!`)\1(?!`)", re.DOTALL)
_ESCAPED = re.compile(rf"\\(?P<code>{_PUNCTUATION})")
_LINK = re.compile(
    r"!?\[(?P<words>[^\[\]]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\[\]]*\])"
    r"|<(?P<address>[a-zA-Z][\w+.-]+:[^\s<>]*|[^\s<>@]+@[^\s<>@]+)>"
)
_WIKI_LINK = re.compile(r"!?\[\[(?P<target>[^\[\]|]*)(?:\|(?P<alias>[^\[\]]*))?\]\]")
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
_EMPHASIS = (
    re.compile(r"\*{1,3}(?=\S)(.+?)(?<=\S)\*{1,3}", re.DOTALL),
    re.compile(r"(?<![^\W_])_{1,3}(?=\S)(.+?)(?<=\S)_{1,3}(?![^\W_])", re.DOTALL),
    re.compile(r"~~(?=\S)(.+?)(?<=\S)~~", re.DOTALL),
)


def plain_title(markdown: str) -> str:
    """The words of a heading: markup, link targets and attribute lists away, white space collapsed, at most 300
    characters. Code keeps every character, so that `__init__` stays what it is."""
    text = _ATTRIBUTES.sub("", markdown[:_MAX_SOURCE])
    text = _ESCAPED.sub(_protected, _CODE.sub(_protected, text))
    text = _WIKI_LINK.sub(lambda link: link["alias"] or link["target"], text)
    # Twice, because a picture may be the text of a link: [![alt](picture)](target).
    for _ in range(2):
        text = _LINK.sub(lambda link: link["words"] or link["address"] or "", text)
    text = _TAG.sub("", text)
    for emphasis in _EMPHASIS:
        text = emphasis.sub(r"\1", text)
    title = " ".join(html.unescape(text).split())
    return title[: grapheme_floor(title, MAX_TITLE)].rstrip()


def _protected(match: re.Match[str]) -> str:
    """Punctuation as character references: the later patterns see no markup in it, the final unescape restores it."""
    return re.sub(_PUNCTUATION, lambda mark: f"&#{ord(mark[0])};", match["code"])
