"""Failures on order: which kinds there are, which calls a rule is for, and on which of them it strikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from fake_provider.calls import Endpoint, ReceivedCall
from fake_provider.limits import KeyLimits

Group = Literal["refusal", "transport", "body", "rows", "vectors", "chat", "usage", "limits"]

_ANY: tuple[Endpoint, ...] = ("chat", "embeddings", "contextualized", "rerank")
_VECTORS: tuple[Endpoint, ...] = ("embeddings", "contextualized")
_LISTS: tuple[Endpoint, ...] = ("embeddings", "contextualized", "rerank")
_CHAT: tuple[Endpoint, ...] = ("chat",)


@dataclass(frozen=True, slots=True)
class Kind:
    """`usable`: the client gets, late or not, an answer that it can use, so that asking again is paying again."""

    group: Group
    endpoints: tuple[Endpoint, ...] = _ANY
    parameters: frozenset[str] = frozenset()
    usable: bool = False


def _kind(group: Group, endpoints: tuple[Endpoint, ...], *parameters: str, usable: bool = False) -> Kind:
    return Kind(group, endpoints, frozenset(parameters), usable)


KINDS: Mapping[str, Kind] = {
    # Instead of an answer, a refusal; nothing is paid.
    "status": _kind("refusal", _ANY, "status", "retry_after", "retry_after_as", "message"),
    "insufficient_quota": _kind("refusal", _ANY),
    "unsupported_parameter": _kind("refusal", _ANY, "param"),
    "context_length_exceeded": _kind("refusal", _CHAT),
    "model_not_found": _kind("refusal", _ANY),
    "content_filter_prompt": _kind("refusal", _CHAT),
    # On the way. Without an answer at all, nothing is paid.
    "refuse_connection": _kind("transport", _ANY),
    "hang": _kind("transport", _ANY, "seconds"),
    "reset": _kind("transport", _ANY),
    "hang_midway": _kind("transport", _ANY, "seconds"),
    "slow": _kind("transport", _ANY, "bytes_per_second", usable=True),
    "late_success": _kind("transport", _ANY, "seconds", usable=True),
    "huge_body": _kind("transport", _ANY, "megabytes"),
    "gzip_bomb": _kind("transport", _ANY, "megabytes"),
    # A 200 that is none.
    "truncated_json": _kind("body", _ANY),
    "invalid_json": _kind("body", _ANY),
    "html": _kind("body", _ANY),
    "wrong_content_type": _kind("body", _ANY, usable=True),
    # One item for each input, in whose place something is wrong.
    "fewer": _kind("rows", _LISTS),
    "more": _kind("rows", _LISTS),
    "reordered": _kind("rows", _LISTS, usable=True),
    "reordered_wrong_index": _kind("rows", _LISTS),
    "duplicate_index": _kind("rows", _LISTS),
    "wrong_dimension": _kind("vectors", _VECTORS, "dimension"),
    "nan": _kind("vectors", _VECTORS),
    "inf": _kind("vectors", _VECTORS),
    "zero": _kind("vectors", _VECTORS),
    "1e39": _kind("vectors", _VECTORS),
    # What a language model does on a bad day.
    "empty": _kind("chat", _CHAT),
    "whitespace": _kind("chat", _CHAT),
    "refusal": _kind("chat", _CHAT),
    "refusal_in_text": _kind("chat", _CHAT),
    "length": _kind("chat", _CHAT),
    "repetition": _kind("chat", _CHAT),
    "longer_than_input": _kind("chat", _CHAT),
    "invented": _kind("chat", _CHAT),
    "echo_injection": _kind("chat", _CHAT),
    "content_filter": _kind("chat", _CHAT),
    "content_not_json": _kind("chat", _CHAT),
    "drop_everything": _kind("chat", _CHAT),
    # The bill.
    "huge_usage": _kind("usage", _ANY, "factor", usable=True),
    "no_usage": _kind("usage", _ANY, usable=True),
    "zero_usage": _kind("usage", _ANY, usable=True),
    # Not a fault of single calls: other limits, from now on.
    "limits": _kind("limits", _ANY, "rpm", "tpm", "concurrency", "window_s"),
}
_WHICH_CALLS = {"kind", "endpoint", "key", "model", "contains", "min_tokens"}
_WHICH_OF_THEM = {"first", "count", "every"}


class FaultRule(BaseModel):
    """A rule as `POST /_faults` takes it. It strikes on the matching calls number `from`, `from` + `every`, …, counted
    since it was set, `count` times (null: for ever). All filters that are given have to match."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: str
    endpoint: Endpoint | None = None
    key: str | None = Field(None, pattern="^[0-9a-f]{8}$", description="a key's fingerprint")
    model: str | None = None
    contains: str | None = Field(None, description="a text that one of the call's texts has to have in it")
    min_tokens: int = Field(0, ge=0, description="only calls whose input has at least so many")
    first: int = Field(1, ge=1, alias="from")
    count: int | None = Field(1, ge=1)
    every: int = Field(1, ge=1)

    status: int = Field(500, ge=400, le=599)
    retry_after: float | str | None = Field(None, description="seconds, or a text that is sent as it is")
    retry_after_as: Literal["seconds", "date", "milliseconds"] = "seconds"
    message: str | None = None
    param: str = "temperature"
    seconds: float = Field(3600.0, ge=0)
    bytes_per_second: float = Field(1.0, gt=0)
    megabytes: int = Field(50, ge=1, le=1000)
    dimension: int | None = Field(None, ge=1, description="unset: half of what was asked for")
    factor: int = Field(100, ge=1)
    rpm: int | None = Field(None, ge=1)
    tpm: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    window_s: float = Field(60.0, gt=0)

    @field_validator("every", mode="before")
    @classmethod
    def _each_call(cls, every: int | None) -> int:
        return 1 if every is None else every

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"no fault is called {kind!r}; there are: {', '.join(KINDS)}")
        return kind

    @model_validator(mode="after")
    def _takes_these_parameters(self) -> FaultRule:
        kind = KINDS[self.kind]
        allowed = _WHICH_CALLS | kind.parameters | (set() if kind.group == "limits" else _WHICH_OF_THEM)
        if wrong := self.model_fields_set - allowed:
            raise ValueError(
                f"{self.kind!r} takes no {', '.join(sorted(wrong))}; it takes {', '.join(sorted(allowed))}"
            )
        if self.endpoint is not None and self.endpoint not in kind.endpoints:
            raise ValueError(f"{self.kind!r} is a fault of {', '.join(kind.endpoints)}, not of {self.endpoint}")
        return self

    def matches(self, call: ReceivedCall) -> bool:
        return (
            call.endpoint in KINDS[self.kind].endpoints
            and self.endpoint in (None, call.endpoint)
            and self.key in (None, call.fingerprint)
            and self.model in (None, call.model)
            and call.tokens >= self.min_tokens
            and (self.kind != "unsupported_parameter" or self.param in call.body)
            and (self.contains is None or any(self.contains in text for text in call.texts))
        )

    def strikes(self, number: int) -> bool:
        """`number` is that of the call among the matching ones, from 1."""
        past = number - self.first
        if past < 0 or past % self.every:
            return False
        return self.count is None or past // self.every < self.count


def _listed(given: Any) -> Any:
    return given if isinstance(given, list) else [given]


FaultRules = Annotated[list[FaultRule], BeforeValidator(_listed)]
"""One rule or a list of them."""


@dataclass(slots=True)
class _Programmed:
    number: int
    rule: FaultRule
    seen: int = 0
    struck: int = 0


class FaultPlan:
    """The rules that are set. Each counts its own calls; the first one that strikes decides what happens."""

    def __init__(self) -> None:
        self._rules: list[_Programmed] = []
        self._numbers = count(1)

    def add(self, rules: Sequence[FaultRule]) -> None:
        self._rules += [_Programmed(next(self._numbers), rule) for rule in rules]

    def clear(self) -> None:
        self._rules.clear()

    def next_for(self, call: ReceivedCall) -> FaultRule | None:
        """Counts the call."""
        striking = None
        for programmed in self._rules:
            if programmed.rule.kind == "limits" or not programmed.rule.matches(call):
                continue
            programmed.seen += 1
            if striking is None and programmed.rule.strikes(programmed.seen):
                programmed.struck += 1
                striking = programmed.rule
        return striking

    def limits_for(self, call: ReceivedCall) -> tuple[int, KeyLimits] | None:
        """The limits that were set last for such calls, and a number that no other rule ever has."""
        for programmed in reversed(self._rules):
            rule = programmed.rule
            if rule.kind == "limits" and rule.matches(call):
                return programmed.number, KeyLimits(rule.rpm, rule.tpm, rule.concurrency, rule.window_s)
        return None

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                **programmed.rule.model_dump(by_alias=True, exclude_unset=True),
                "seen": programmed.seen,
                "struck": programmed.struck,
            }
            for programmed in self._rules
        ]
