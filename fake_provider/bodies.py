"""Bodies: an answer or a refusal as bytes, and the ones that are a 200 and yet no answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fake_provider.connection import Answer
from fake_provider.faults import FaultRule
from fake_provider.refusals import Dialect, Refusal, refusal_body

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Please sign in to this network.</body></html>\n"
)


def as_json(payload: Any) -> bytes:
    """NaN and infinities are written by these names, which many parsers take."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def as_event(payload: Any) -> bytes:
    return b"data: " + as_json(payload) + b"\n\n"


def refused(dialect: Dialect, refusal: Refusal) -> Answer:
    return Answer((as_json(refusal_body(dialect, refusal)),), status=refusal.status, headers=refusal.headers)


def altered(answer: Answer, rule: FaultRule | None) -> Answer:
    """The answer as a rule about bodies leaves it."""
    alter = _ALTERATIONS.get(rule.kind) if rule is not None else None
    return answer if alter is None else alter(answer)


def _truncated(answer: Answer) -> Answer:
    body = b"".join(answer.parts)
    return replace(answer, parts=(body[: len(body) // 2],))


def _invalid(answer: Answer) -> Answer:
    broken = b"{'object': 'list', data: [,]}"
    return replace(answer, parts=(b"data: " + broken + b"\n\n",) if answer.streams else (broken,))


def _html(answer: Answer) -> Answer:
    return replace(answer, parts=(_HTML,), content_type="text/html; charset=utf-8")


def _wrong_content_type(answer: Answer) -> Answer:
    return replace(answer, content_type="text/plain; charset=utf-8")


_ALTERATIONS: Mapping[str, Callable[[Answer], Answer]] = {
    "truncated_json": _truncated,
    "invalid_json": _invalid,
    "html": _html,
    "wrong_content_type": _wrong_content_type,
}
