"""Checks of strings that clients send: what a database or another reader could not handle is refused here, with the
name of the field."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

from services.documents import LARGEST_META_BYTES
from services.errors import DatasetIdConflict, InvalidExtraMeta, InvalidRequest, MissingDatasetId

DOC_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}\Z")
# Control characters, halves of surrogate pairs (no UTF-8 has them), and what would break a path of the API.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
UNFIT_FOR_IDS = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff/\\?#%]")

META_BYTES = LARGEST_META_BYTES
META_DEPTH = 32


def checked_text(name: str, value: str, longest: int) -> str:
    """One line of text. Raises InvalidRequest."""
    if len(value) > longest:
        raise InvalidRequest(f"`{name}` is too long: at most {longest} characters.", field=name)
    if UNPRINTABLE.search(value):
        raise InvalidRequest(f"`{name}` contains control characters.", field=name)
    return value


def checked_dataset_id(field: str | None, alias: str | None, header: str | None) -> str:
    """Raises MissingDatasetId, DatasetIdConflict, InvalidRequest."""
    given = [value for value in (field, alias, header) if value]
    if not given:
        raise MissingDatasetId
    if len(set(given)) > 1:
        raise DatasetIdConflict
    if len(given[0]) > 200 or UNFIT_FOR_IDS.search(given[0]) or given[0] in (".", ".."):
        raise InvalidRequest(
            "`dataset_id` must have 1 to 200 characters, without spaces, control characters and / \\ ? # %.",
            field="dataset_id",
        )
    return given[0]


def checked_doc_id(value: str | None) -> str | None:
    """Raises InvalidRequest."""
    if value and not DOC_ID.match(value):
        raise InvalidRequest("`doc_id` must consist of 1 to 200 of the characters A-Z a-z 0-9 . _ : -", field="doc_id")
    return value or None


def checked_file_name(value: str | None) -> str:
    """In the composed form, since systems differ in how they decompose the letters of one name. Raises InvalidRequest
    for what is no name."""
    name = checked_text("file name", unicodedata.normalize("NFC", value or ""), 255)
    if "/" in name or "\\" in name:
        raise InvalidRequest("The file name must not contain / or \\; use `source` for a path.", field="file")
    return name


def checked_tags(values: list[str] | None) -> tuple[str, ...] | None:
    """None: they are not mentioned. Raises InvalidRequest."""
    if values is None:
        return None
    if len(values) > 64:
        raise InvalidRequest("At most 64 tags are allowed.", field="tags")
    tags = [checked_text("tags", value.strip(), 100) for value in values]
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def parsed_meta(value: str | None) -> dict[str, Any] | None:
    """`extra_meta` as it comes in a form; None: it is not mentioned. Raises InvalidExtraMeta."""
    if value is None or not value.strip():
        return None
    if len(value.encode("utf-8", "surrogatepass")) > META_BYTES or nesting_of(value) > META_DEPTH:
        raise InvalidExtraMeta
    try:
        meta = json.loads(
            value, parse_constant=refuse, parse_float=finite, parse_int=within_64_bits, object_pairs_hook=without_twins
        )
    except ValueError as error:
        raise InvalidExtraMeta(reason=str(error)[:200]) from None
    if meta is None:
        raise InvalidExtraMeta(reason="not an object")
    return checked_meta(meta)


def checked_meta(meta: Any) -> dict[str, Any] | None:
    """`extra_meta` as an object; None: it is not mentioned. Raises InvalidExtraMeta."""
    if meta is None:
        return None
    if not isinstance(meta, dict):
        raise InvalidExtraMeta(reason="not an object")
    try:
        text = json.dumps(meta, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidExtraMeta(reason=str(error)[:200]) from None
    if len(text.encode("utf-8", "surrogatepass")) > META_BYTES or nesting_of(text) > META_DEPTH:
        raise InvalidExtraMeta(reason="too large or too deep")
    if "\\u0000" in text or re.search(r"[\ud800-\udfff]", text):
        raise InvalidExtraMeta(reason="a string contains a NUL or half of a surrogate pair")
    return meta


def nesting_of(text: str) -> int:
    """How deeply brackets nest outside of strings. Not recursive: deep input must not exhaust the stack."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[{\]}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"the number {number[:20]} is too large")
    return value


def within_64_bits(number: str) -> int:
    if len(number) > 20 or not -(2**63) <= int(number) < 2**64:
        raise ValueError(f"the number {number[:20]}… is too large")
    return int(number)


def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found
