"""Markdown as its reader sees it."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"[`<\[*_\\{\n\x00]")
_LITERAL = re.compile(r"\\([!-/:-@\[-`{-~])|(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL)  # escaped marks, code
_HELD = re.compile("\x00(\\d+)\x00")
_BARE_LINK = re.compile(r"<((?:https?:|mailto:)[^\s<>]+)>")
_NOISE = re.compile(
    r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>"  # comments and tags
    r"|!\[[^\[\]]*\](?:\([^()]*\)|\[[^\[\]]*\])"  # pictures
    r"|\[\^[^\[\]]*\]"  # footnote marks
    r"|\{[:#.][^{}]*\}"  # attributes
    r"|(?<=\n)[ \t]*>[ \t]?",  # quote marks of further lines
    re.DOTALL,
)
_NOISY = re.compile(r"[<\n\[{]")
_LINK = re.compile(r"\[([^\[\]]*)\](?:\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_EMPHASIS = {
    "*": re.compile(r"(\*{1,3})(?=\S)([^*]+?)(?<=\S)\1"),
    "_": re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_]+?)(?<=\S)\1(?!\w)"),
}


def as_read(markdown: str) -> str:
    """The words and code of a sentence, without link targets, emphasis, tags, footnote marks and line breaks.

    Code keeps its backticks and all that is between them.
    """
    if not _MARKUP.search(markdown):
        return " ".join(markdown.split())
    held: list[str] = []

    def hold(literal: re.Match[str]) -> str:
        held.append(literal[1] or literal[0])
        return f"\x00{len(held) - 1}\x00"

    text = markdown.replace("\x00", "")
    if "`" in text or "\\" in text:
        text = _LITERAL.sub(hold, text)
    if _NOISY.search(text):
        text = _NOISE.sub("", _BARE_LINK.sub(r"\1", text))
    if "[" in text:
        text = _LINK.sub(r"\1", text)
    for mark, emphasis in _EMPHASIS.items():
        if mark in text:
            text = emphasis.sub(r"\2", text)
    if not held:
        return " ".join(text.split())
    return " ".join(_HELD.sub(lambda mark: held[int(mark[1])], text).split())
