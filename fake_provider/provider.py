"""The provider itself: one call from its request to the last byte of its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass, replace

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from fake_provider.bodies import altered, as_json, refused
from fake_provider.calls import ReceivedCall, read_call
from fake_provider.chat import chat
from fake_provider.connection import UNANSWERED, Answer, Connection, deliver
from fake_provider.faults import KINDS, FaultPlan, FaultRule
from fake_provider.limits import KeyLimits, RateLimiter
from fake_provider.models import check_model, no_such_model, unsupported_parameter
from fake_provider.refusals import Refusal, insufficient_quota
from fake_provider.rerank import rerank
from fake_provider.retry_after import retry_after
from fake_provider.stats import CallRecord, CallStats
from fake_provider.usage import TokenUsage, billed
from fake_provider.vectors import contextualized, embeddings

_NO_ENDPOINT = Refusal(404, "No provider has such a path. POST …/chat/completions, /embeddings, …")


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A place in the windows of a key, to be given back."""

    bucket: Hashable
    limits: KeyLimits


class Provider:
    """An ASGI application for all endpoints of all providers. Everything but the making of an answer happens in the
    event loop, so that counts and windows need no lock."""

    def __init__(self, *, seed: int, latency_s: float, limits: KeyLimits) -> None:
        self.faults = FaultPlan()
        self.stats = CallStats()
        self.limiter = RateLimiter()
        self._seed = seed
        self._latency_s = latency_s
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(scope, receive, send)
        raw = await connection.body()
        call = read_call(scope["path"], Headers(scope=scope), raw) if scope["method"] == "POST" else None
        if call is None:
            await deliver(connection, refused("openai", _NO_ENDPOINT), None)
            return
        began = time.monotonic()
        record = self.stats.begin(call)
        try:
            await self._serve(connection, call, record, began)
        finally:
            self.stats.end()

    async def _serve(self, connection: Connection, call: ReceivedCall, record: CallRecord, began: float) -> None:
        rule = self.faults.next_for(call)
        record.fault = rule.kind if rule is not None else None
        if rule is not None and rule.kind in UNANSWERED:
            self.stats.decided(record, call, usable=False)
            await deliver(connection, Answer(()), rule)
            return
        admitted = None
        try:
            _refuse_if_told(rule, call)
            check_request(call)
            admitted = self._admit(call, began)
            answer = await asyncio.to_thread(answered, call, self._seed, rule)
        except Refusal as refusal:
            answer = refused(call.dialect, refusal)
        self._account(answer, call, record, rule)
        try:
            if answer.status == 200:
                await connection.wait(self._latency_s - (time.monotonic() - began))
            await deliver(connection, self._with_limits(answer, admitted), rule)
        finally:
            if admitted is not None:
                self.limiter.release(admitted.bucket, answer.completion_tokens, time.monotonic())

    def _admit(self, call: ReceivedCall, now: float) -> _Admitted:
        """Raises Refusal."""
        number, limits = self.faults.limits_for(call) or (None, self._limits)
        bucket = (number, call.fingerprint)
        self.limiter.admit(bucket, limits, call.tokens, now)
        return _Admitted(bucket, limits)

    def _with_limits(self, answer: Answer, admitted: _Admitted | None) -> Answer:
        if admitted is None:
            return answer
        headers = self.limiter.headers(admitted.bucket, admitted.limits, time.monotonic())
        return replace(answer, headers={**answer.headers, **headers})

    def _account(self, answer: Answer, call: ReceivedCall, record: CallRecord, rule: FaultRule | None) -> None:
        record.status = answer.status
        record.prompt_tokens, record.completion_tokens = answer.prompt_tokens, answer.completion_tokens
        usable = answer.status == 200 and (rule is None or KINDS[rule.kind].usable)
        self.stats.decided(record, call, usable=usable)


def answered(call: ReceivedCall, seed: int, rule: FaultRule | None) -> Answer:
    """The answer, as the rule spoils it. Raises Refusal."""
    return altered(chat(call, seed, rule) if call.endpoint == "chat" else _of_texts(call, seed, rule), rule)


def _of_texts(call: ReceivedCall, seed: int, rule: FaultRule | None) -> Answer:
    usage = billed(TokenUsage(call.tokens), rule)
    if call.endpoint == "rerank":
        payload = rerank(call, rule)
    else:
        payload = (embeddings if call.endpoint == "embeddings" else contextualized)(call, seed, rule)
    if isinstance(payload, dict):
        payload |= usage.of_input(call)
    return Answer((as_json(payload),), prompt_tokens=usage.prompt)


def check_request(call: ReceivedCall) -> None:
    """What is checked before any work: the key, the form, the model. Raises Refusal."""
    _check_key(call.key)
    if not call.well_formed:
        raise Refusal(400, "The body is no JSON object.")
    check_model(call)


def _check_key(key: str) -> None:
    if not key or key.startswith("bad"):
        raise Refusal(401, None if key else "You didn't provide an API key.")
    if key.startswith("quota"):
        raise insufficient_quota()
    if key.startswith("broke"):
        raise Refusal(402)
    if key.startswith("denied"):
        raise Refusal(403)


def _refuse_if_told(rule: FaultRule | None, call: ReceivedCall) -> None:
    if rule is None or KINDS[rule.kind].group != "refusal":
        return
    if rule.kind == "status":
        raise Refusal(rule.status, rule.message, headers=retry_after(rule))
    if rule.kind == "insufficient_quota":
        raise insufficient_quota()
    if rule.kind == "unsupported_parameter":
        raise unsupported_parameter(rule.param)
    if rule.kind == "model_not_found":
        raise no_such_model(call.model)
    if rule.kind == "content_filter_prompt":
        raise Refusal(400, "The prompt was filtered by the content management policy.", code="content_filter")
    message = (
        f"This model's maximum context length is {call.tokens // 2} tokens; the messages have {call.tokens} tokens."
    )
    raise Refusal(400, message, code="context_length_exceeded", param="messages")
