"""What requests said of a document beside what its text says of itself.

Kept apart, so that an upload that says nothing takes nothing back: tags that a request gave stay however often the file
is sent again, and those of the front matter follow the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.domain import JsonObject
from services.ingest.metadata import file_title
from services.ingest.reader import SourceText
from services.text.links import links_in

NOTHING: JsonObject = {}


def given_by(tags: Sequence[str] | None, meta: JsonObject | None, before: JsonObject = NOTHING) -> dict[str, Any]:
    """`tags` and `meta`, each only if this request or one `before` said it."""
    said: Mapping[str, Any] = {"tags": None if tags is None else list(tags), "meta": meta}
    return {**before, **{name: value for name, value in said.items() if value is not None}}


def as_described(source: SourceText, given: JsonObject, file_name: str | None, path: str | None) -> SourceText:
    """What a document says about itself, where no request says something else; without a title it has that of its
    file, whose links start from `path`."""
    meta: JsonObject = given.get("meta", NOTHING)
    title = meta.get("title")
    own = title if isinstance(title, str) and title.strip() else source.title
    aliases = {"aliases": list(source.aliases)} if source.aliases else {}
    return replace(
        source,
        title=own or file_title(file_name) or file_title(path),
        tags=tuple(given["tags"]) if "tags" in given else source.tags,
        meta={**source.meta, **aliases, **meta},
        links=links_in(source.text, path),
    )
