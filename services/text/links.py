"""Links of a document to others of its dataset, and the names by which it is linked to, as keys that meet.

A wiki link names the end of a path or an alias (`[[setup/intro]]`, `[[Fondant]]`), a relative link the whole path,
which begins with `/`. Suffixes, anchors, case and Unicode form do not count.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from services.filter_fields import compared

MOST_LINKS = 2_000
LONGEST_KEY = 300
_LINK = re.compile(
    r"!?\[\[(?P<wiki>[^\[\]|#\n]{1,300})(?:#[^\[\]|\n]{0,300})?(?:\|[^\[\]\n]{0,300})?\]\]"
    r"|\]\((?:<(?P<angled>[^<>\n]{1,600})>|(?P<plain>[^\s()<>]{1,600}))(?:\s+[\"'(][^\n]{0,200}?)?\)"
    r"|^ {0,3}\[[^\[\]\n]{1,200}\]:\s*<?(?P<defined>[^\s<>]{1,600})",
    re.MULTILINE,
)
_ELSEWHERE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//|#|\?|\Z")
_SUFFIX = re.compile(r"\.(?:md|markdown|mdown|mdx|qmd|html?)\Z", re.IGNORECASE)
_INDEX = re.compile(r"(?:\A|/)(?:index|readme|_index)\Z", re.IGNORECASE)


def links_in(text: str, source: str | None) -> tuple[str, ...]:
    """The keys of what `text` links to, each once. `source` is the path that relative links start from."""
    found: dict[str, None] = {}
    for link in _LINK.finditer(text):
        key = _wiki(link["wiki"]) if link["wiki"] else _path(link["angled"] or link["plain"] or link["defined"], source)
        if key is not None:
            found.setdefault(key)
            if len(found) == MOST_LINKS:
                break
    return tuple(found)


def names_linked_by(file_name: str | None, source: str | None, aliases: Sequence[str]) -> tuple[str, ...]:
    """The keys that reach a document: its path, the ends of that, its aliases."""
    path = (source or file_name or "").replace("\\", "/")
    found = [*_ends(path), *(_wiki(alias) for alias in aliases)]
    if file_name:
        found.append(_wiki(file_name))
    return tuple(dict.fromkeys(key for key in found if key))


def _ends(path: str) -> Iterator[str]:
    whole = _without_suffix(path).strip("/")
    if not whole:
        return
    yield _key("/" + (_INDEX.sub("", whole) or whole))
    parts = whole.split("/")
    for start in range(max(0, len(parts) - 8), len(parts)):
        yield _key("/".join(parts[start:]))


def _wiki(target: str) -> str | None:
    return _key(_without_suffix(target.strip().strip("/"))) or None


def _path(target: str, source: str | None) -> str | None:
    if _ELSEWHERE.match(target):
        return None
    target = unquote(re.split(r"[#?]", target, maxsplit=1)[0])
    folder = posixpath.dirname((source or "").replace("\\", "/").strip("/"))
    path = _without_suffix(posixpath.normpath(posixpath.join("/" + folder, target)).lstrip("/"))
    path = _INDEX.sub("", path) or path
    return _key("/" + path) if path.strip("/.") else None


def _without_suffix(path: str) -> str:
    return _SUFFIX.sub("", path)


def _key(name: str) -> str:
    return str(compared("".join(letter for letter in name if letter.isprintable())))[:LONGEST_KEY]
