"""The documents or sections that a group of leaves is made of, as a reader would name them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.tree.nodes import Leaf
from utils.names import spoken_name

# Of a group's leaves, the share that has to stand under a heading for the group to be called by it.
COMMON = 0.8
# More sections than these are not told of one by one; the largest are.
MOST_SECTIONS = 64


@dataclass(frozen=True, slots=True)
class Part:
    """A document or section: its name, its first leaf, and how many of the group's leaves it has."""

    title: str
    first: Leaf
    leaves: int


@dataclass(frozen=True, slots=True)
class Parts:
    """`title` is what the group as a whole is called, "" where it has no name; `parts` in reading order. `is_one`: all
    is of one document."""

    title: str
    first: Leaf
    parts: tuple[Part, ...]
    is_one: bool


def parts_of(leaves: Sequence[Leaf]) -> Parts:
    """`leaves` in reading order, at least one. Of one document its sections, below what most of them stand under; of
    several the documents."""
    if len({leaf.document for leaf in leaves}) > 1:
        by_document: dict[str, list[Leaf]] = {}
        for leaf in leaves:
            by_document.setdefault(leaf.document, []).append(leaf)
        parts = [Part(title_of(members), members[0], len(members)) for members in by_document.values()]
        return Parts("", leaves[0], largest(parts), is_one=False)
    prefix = common_prefix(leaves)
    inside = [leaf for leaf in leaves if leaf.heading_path[: len(prefix)] == prefix]
    by_heading: dict[str, list[Leaf]] = {}
    for leaf in inside:
        if len(leaf.heading_path) > len(prefix):
            by_heading.setdefault(leaf.heading_path[len(prefix)], []).append(leaf)
    parts = [Part(heading, members[0], len(members)) for heading, members in by_heading.items()]
    return Parts(prefix[-1] if prefix else name_of_file(leaves[0]), (inside or leaves)[0], largest(parts), is_one=True)


def common_prefix(leaves: Sequence[Leaf]) -> tuple[str, ...]:
    """The longest heading path that most of the leaves stand under, the first among them: it opens the whole."""
    counts = Counter(leaf.heading_path[: depth + 1] for leaf in leaves for depth in range(len(leaf.heading_path)))
    opening = leaves[0].heading_path
    common = [
        path for path, number in counts.items() if number >= COMMON * len(leaves) and opening[: len(path)] == path
    ]
    return max(common, key=len, default=())


def title_of(leaves: Sequence[Leaf]) -> str:
    """A document's own title: the heading that most of it stands under, else the name of its file."""
    first, number = Counter(leaf.heading_path[:1] for leaf in leaves).most_common(1)[0]
    return first[0] if first and 2 * number >= len(leaves) else name_of_file(leaves[0])


def name_of_file(leaf: Leaf) -> str:
    """Of a document that is known as `source:guides/engine.md`."""
    return spoken_name(leaf.document.partition(":")[2])


def largest(parts: Sequence[Part]) -> tuple[Part, ...]:
    """At most `MOST_SECTIONS`, in the order of `parts`."""
    kept = sorted(range(len(parts)), key=lambda place: (-parts[place].leaves, place))[:MOST_SECTIONS]
    return tuple(parts[place] for place in sorted(kept))
