"""A passage's text for models: what is embedded, indexed, summarised and shown to them. People get it as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.text.payload import without_payload
from services.text.postings import indexed_text
from services.text.words import fold

LONGEST_NAMES = 300
_SCHEME = re.compile(r"[a-zA-Z][\w+.-]*://[^/]*/?")


def for_models(text: str, table_header: str | None = None) -> str:
    """Without payload; rows that were cut from a table have its header above them again."""
    text = without_payload(text)
    return f"{table_header}\n{text}" if table_header else text


def indexed_passage(heading_path: Sequence[str], text: str, meta: Mapping[str, Any]) -> str:
    """`meta` is the chunk's: its document's `names`, and the `table_header` of rows."""
    return indexed_text((*meta.get("names", ()), *heading_path), for_models(text, meta.get("table_header")))


def names_of(
    file_name: str | None, source: str | None, title: str | None, aliases: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a document is called, from its folder to its title and aliases, each once, 300 characters together."""
    folders = _SCHEME.sub("", source or "").replace("\\", "/").strip("./").split("/")
    names = [*folders[:-1], *map(_stem, (folders[-1], file_name or "")), title or "", *aliases]
    found: dict[str, str] = {}
    for name in names:
        if any(map(str.isalnum, name)):
            found.setdefault(_key(name), name)
    kept, length = [], 0
    for name in found.values():
        length += len(name)
        if length <= LONGEST_NAMES:
            kept.append(name)
    return tuple(kept)


def names_beside(names: Sequence[str], heading_path: Sequence[str]) -> list[str]:
    """Those that the headings above a passage do not say already."""
    said = set(map(_key, heading_path))
    return [name for name in names if _key(name) not in said]


def _stem(file_name: str) -> str:
    stem, dot, suffix = file_name.rpartition(".")
    return stem if dot and stem and len(suffix) <= 8 else file_name


def _key(name: str) -> str:
    return fold(re.sub(r"[\W_]+", "", name))
