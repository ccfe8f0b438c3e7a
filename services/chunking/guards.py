"""What refinement may not leave out of a document, whatever a model or a pattern says. Pure.

A piece that is wrongly kept costs a little noise; one that is wrongly dropped cannot be found any more. So every doubt
keeps it: digits of any script, anything with the form of a link, code, capitals where a sentence does not begin.
"""

from __future__ import annotations

import re

from services.text.grounding import NAME

# Of a window's characters, or of a document's, by each of the ways to drop.
MOST_DROPPED = 0.15

# Blocks whose text is neither prose nor a list of it.
PROTECTED_KINDS = frozenset(
    {"fence", "code_block", "table", "html_block", "opaque", "anchor", "heading", "front_matter"}
)

_NUMBER = re.compile(r"\d|[一二三四五六七八九十百千万]{2,}")
_LINK = re.compile(r"https?:|www\.|\]\(|\]\[|<[a-z/!]|@\w|\w\.(?:com|org|net|io|dev|md|html?)\b", re.IGNORECASE)
_CODE = re.compile(r"`|[{};=\\]|\(\)|\w_\w|--?\w+=|::|->")
# A word within a line that no beginning of a sentence, cell or menu item gives its capital.
_INNER_WORD = re.compile(r"(?<![.!?:…|/>›»·•*#\-–—])[ \t]+[\"'“‘(]?(?P<word>[^\W\d_]\w+)")


def may_be_dropped(kind: str, text: str) -> bool:
    """Whether a piece of a block of this kind holds nothing that a reader may look for by its form."""
    return kind not in PROTECTED_KINDS and not has_facts(text) and not has_names(text)


def has_facts(text: str) -> bool:
    """Numbers, links or code."""
    return any(pattern.search(text) is not None for pattern in (_NUMBER, _LINK, _CODE))


def has_names(text: str) -> bool:
    """In a script with capitals; in one without, names look like other words and nothing tells."""
    return NAME.search(text) is not None or any(word["word"][0].isupper() for word in _INNER_WORD.finditer(text))
