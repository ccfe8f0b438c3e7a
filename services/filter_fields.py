"""What filters compare: the fields of a document and the values that a question wants, in one form.

Names and text are compared in lower case and composed form, numbers as numbers, dates as ISO text, `true` and `false`
as themselves. A field has a list of values; one that fits is enough.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from services.domain import JsonObject

Operator = Literal["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "prefix"]
Scalar = str | int | float | bool

# A value that is longer is compared by its beginning.
LONGEST_VALUE = 500
MOST_VALUES = 2_000


def compared(value: Scalar) -> Scalar:
    if not isinstance(value, str):
        return value
    folded = " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())
    return folded[:LONGEST_VALUE]


def filter_fields(
    source: str | None, title: str | None, tags: Sequence[str], meta: JsonObject
) -> dict[str, list[Scalar]]:
    """By name, as a filter has it: `source`, `tags`, `meta.<path>`. The title is `meta.title` where `meta` has none."""
    found: dict[str, list[Scalar]] = {}
    told = {"title": title, **meta} if title else meta
    pairs = [("source", source), *(("tags", tag) for tag in tags), *_flat("meta", told)]
    for name, value in pairs[:MOST_VALUES]:
        if value is not None and (form := compared(value)) not in found.setdefault(name, []):
            found[name].append(form)
    return found


def condition(name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A condition on the field `name` as storage compares it; `wanted` has operators and their values."""
    made: dict[str, Any] = {"name": compared(name) if name in ("source", "tags") else _name(name)}
    for operator, value in wanted.items():
        if operator in ("eq", "in"):
            made["any"] = _forms(value)
        elif operator in ("ne", "nin"):
            made["none"] = _forms(value)
        else:
            made[operator] = compared(value)
    return made if set(made) <= {"name", "none"} else {**made, "some": True}


def _flat(path: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _flat(f"{path}.{_name(str(name))}", one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _flat(path, one)
    elif value is not None:
        yield path, value


def _name(name: str) -> str:
    return str(compared(name))


def _forms(value: Any) -> list[Scalar]:
    """The values in their form; a number that was typed as text is also itself."""
    forms: list[Scalar] = []
    for one in value if isinstance(value, list | tuple) else [value]:
        forms.append(compared(one))
        if isinstance(one, str) and (number := _number(one)) is not None:
            forms.append(number)
        elif not isinstance(one, str | bool):
            forms.append(str(one))
    return forms


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.lstrip("+-").isascii() and text.lstrip("+-").isdigit() and len(text) < 19 else None
    except ValueError:
        return None
