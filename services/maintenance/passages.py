"""Which passages of a changed document are those of before."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher


def continued(before: Sequence[str], after: Sequence[str]) -> list[int | None]:
    """Which passage of a document's version of before each passage of its new version is: the same text (hash), each
    once, in order where it can be. None for a passage that is new."""
    found: list[int | None] = [None] * len(after)
    for start, at, length in SequenceMatcher(a=before, b=after, autojunk=False).get_matching_blocks():
        found[at : at + length] = range(start, start + length)
    left: dict[str, list[int]] = {}
    for i in sorted(set(range(len(before))) - set(found), reverse=True):
        left.setdefault(before[i], []).append(i)
    for i, text in enumerate(after):
        if found[i] is None and left.get(text):
            found[i] = left[text].pop()
    return found
