"""What mode `auto` stands for: a question about a whole gets its summaries and a digest, any other gets passages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Mode = Literal["auto", "collapsed", "tree_traversal", "leaves", "digest"]
UsedMode = Literal["collapsed", "tree_traversal", "leaves", "digest"]


@dataclass(frozen=True, slots=True)
class Route:
    mode: UsedMode
    reason: str


def route(mode: Mode, whole: str | None, *, levels: Collection[int] = (), own_words: bool = False) -> Route:
    """`whole` is the name of what the question asks about as a whole, "" for all that the filters let through, None
    for a question of another kind. `levels` are those that the filters ask for; `own_words`: the tree's summaries say
    more than the passages' own sentences do."""
    if mode == "tree_traversal":
        return Route(mode, "as asked for: the way from the root down, to look at the tree; `auto` finds more")
    if mode != "auto":
        return Route(mode, "as asked for")
    if any(level > 0 for level in levels):
        return Route("collapsed", "the filter asks for levels above the passages")
    if whole is not None:
        what = f"“{whole}” as a whole" if whole else "the whole"
        return Route("digest", f"the question is about {what}: its summaries, then a digest of it")
    if own_words:
        return Route("collapsed", "the question names something to look for: passages, and summaries that add to them")
    return Route(
        "leaves",
        "the question names something to look for: passages; the summaries are made of the passages' own sentences",
    )
