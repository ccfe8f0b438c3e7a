"""Front matter: where it ends, and the fields that it gives. YAML and TOML are read by their libraries, YAML without
any of its types: no tag makes an object, and what is larger, deeper or more entangled than people write is refused."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal

import yaml

MOST_CHARACTERS = 65_536
MOST_VALUES = 5_000
DEEPEST = 16
LONGEST_KEY = 200

# A document may also begin with a thematic break, or a block break of MyST: front matter has its first key, a table or
# a comment on the second line, or nothing at all.
_OPENING = re.compile(
    r"(?P<yaml>-{3,})[ \t]*\r?\n(?=[^\n:]+:(?:\s|$)|#|-{3,}[ \t]*(?:\r?\n|\Z))"
    r"|(?P<toml>\+{3})[ \t]*\r?\n(?=[^\n=]+=|\[|#|\+{3}[ \t]*(?:\r?\n|\Z))"
)
_PLAIN_TYPES = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map", "int", "float", "bool", "null"))
_WHOLE = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"[-+]?(?:\d{1,18}\.\d{0,18}|\.\d{1,18}|\d{1,18})(?:[eE][-+]?\d{1,2})?")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?\s*(?:Z|z|[-+]\d\d(?::?\d\d)?)?")
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Without the types of YAML 1.1, in which `no` is false, 12:30 is 750 and a tag may name a class.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Unreadable(ValueError):
    """Why front matter is not read, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """`text[start:end]` are the fields of a text, between the marks; what follows begins at `after`."""

    kind: Literal["yaml", "toml"]
    start: int
    end: int
    after: int


@dataclass(frozen=True, slots=True)
class Fields:
    """JSON values by name; `repeated` are names that stand twice: the last one counts."""

    values: Mapping[str, Any]
    repeated: Sequence[str] = ()


def front_matter_of(text: str) -> FrontMatter | None:
    """None where there is none, or where it is never closed. A byte order mark in front is no text."""
    opening = _OPENING.match(text, 1 if text.startswith("\ufeff") else 0)
    if opening is None:
        return None
    mark = rf"(?:{opening['yaml']}|\.\.\.)" if opening["yaml"] else r"\+\+\+"
    closing = re.compile(rf"^{mark}[ \t]*\r?(?:\n|\Z)", re.MULTILINE).search(text, opening.end())
    if closing is None:
        return None
    return FrontMatter("yaml" if opening["yaml"] else "toml", opening.end(), closing.start(), closing.end())


def fields_of(text: str, found: FrontMatter) -> Fields:
    """Raises Unreadable."""
    if found.end - found.start > MOST_CHARACTERS:
        raise Unreadable(f"it is longer than {MOST_CHARACTERS:,} characters")
    source = text[found.start : found.end]
    return _yaml_fields(source) if found.kind == "yaml" else _toml_fields(source)


def _yaml_fields(source: str) -> Fields:
    try:
        _check_shape(yaml.parse(source, Loader=_Loader))
        node = yaml.compose(source, Loader=_Loader)
    except yaml.YAMLError as error:
        raise Unreadable(f"it is not YAML ({_place(error)})") from None
    if node is None:
        return Fields({})
    if not isinstance(node, yaml.MappingNode):
        raise Unreadable("it has no fields")
    values = _Values()
    return Fields(values.from_yaml(node, 0), tuple(values.repeated))


def _check_shape(events: Iterable[Any]) -> None:
    """Before anything is built: building is recursive. Raises Unreadable."""
    depth = 0
    for count, event in enumerate(events):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Unreadable(f"it is nested deeper than {DEEPEST} levels")
        if count > 2 * MOST_VALUES:
            raise Unreadable(f"it has more than {MOST_VALUES:,} values")


def _place(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 2}: " if mark is not None else ""
    return where + str(problem or "it cannot be read")


def _toml_fields(source: str) -> Fields:
    try:
        return Fields(_Values().from_toml(tomllib.loads(source.replace("\r\n", "\n")), 0))
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable(f"it is nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        raise Unreadable(f"it is not TOML ({error})") from None


class _Values:
    """Plain values of a document, counted: an alias counts as all that it stands for."""

    def __init__(self) -> None:
        self.repeated: list[str] = []
        self._count = 0

    def _visit(self, depth: int) -> None:
        self._count += 1
        if self._count > MOST_VALUES:
            raise Unreadable(f"it has more than {MOST_VALUES:,} values")
        if depth > DEEPEST:
            raise Unreadable(f"it is nested deeper than {DEEPEST} levels")

    def from_yaml(self, node: Any, depth: int) -> Any:
        self._visit(depth)
        if node.tag not in _PLAIN_TYPES and node.tag != "tag:yaml.org,2002:timestamp":
            raise Unreadable(f"it has the tag {node.tag[:60]}, and no tag is taken")
        if isinstance(node, yaml.SequenceNode):
            return [self.from_yaml(child, depth + 1) for child in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        return _yaml_scalar(node.value) if not node.style else _clean(node.value)

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable("one of its keys is no word")
            name = _clean(key.value)[:LONGEST_KEY]
            if name in found:
                self.repeated.append(name)
            found[name] = self.from_yaml(value, depth + 1)
        return found

    def from_toml(self, value: Any, depth: int) -> Any:
        self._visit(depth)
        if isinstance(value, dict):
            return {_clean(name)[:LONGEST_KEY]: self.from_toml(one, depth + 1) for name, one in value.items()}
        if isinstance(value, list):
            return [self.from_toml(one, depth + 1) for one in value]
        return _toml_scalar(value)


def _yaml_scalar(text: str) -> Any:
    """As YAML 1.2 reads it, dates in ISO form; what is no number that a database takes stays text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and ("." in text or "e" in text.lower()):
        return float(text)
    return _iso(text) or _clean(text)


def _iso(text: str) -> str | None:
    """A date as it is compared: its digits filled up, a time with a zone in UTC."""
    try:
        if day := _DATE.fullmatch(text):
            return date(*map(int, day.groups())).isoformat()
        if _DATE_AND_TIME.fullmatch(text):
            return _in_utc(datetime.fromisoformat(re.sub(r"\s+(?=[-+Zz])", "", text).upper()))
    except ValueError:
        return None
    return None


def _in_utc(moment: datetime) -> str:
    return (moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)).isoformat()


def _toml_scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, bool) or abs(value) < 10**18 else hex(value)


def _clean(text: str) -> str:
    """Without what no database column and no JSON can hold."""
    return _UNSTORABLE.sub("", text)
