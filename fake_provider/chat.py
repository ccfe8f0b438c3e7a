"""Chat completions on the wire: validation, usage, one JSON body or a stream of server-sent events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fake_provider.answers import reply
from fake_provider.bodies import as_event, as_json
from fake_provider.calls import ReceivedCall
from fake_provider.connection import Answer
from fake_provider.conversation import Conversation
from fake_provider.faults import FaultRule
from fake_provider.misbehaviour import Completion, spoiled
from fake_provider.models import check_parameters, thinks, wants_json
from fake_provider.refusals import Refusal
from fake_provider.tokens import count_tokens, first_tokens
from fake_provider.usage import TokenUsage, billed

_ROLES = frozenset({"assistant", "developer", "function", "system", "tool", "user"})
_REASONING = "The passages are read one after the other; what they have in common is put first, and nothing is added."
_WORDS_AN_EVENT = re.compile(r"(?:\S+\s*){1,6}|\s+")


def chat(call: ReceivedCall, seed: int, rule: FaultRule | None) -> Answer:
    """Raises Refusal."""
    conversation = _conversation(call)
    check_parameters(call)
    limit = _output_limit(call.body)
    completion = Completion(
        reply(conversation, seed, as_json=wants_json(call.body)), reasoning=_REASONING if thinks(call) else ""
    )
    completion = spoiled(_within(completion, limit), conversation, rule)
    reasoning = count_tokens(completion.reasoning)
    written = count_tokens(completion.content or completion.refusal or "")
    usage = billed(TokenUsage(call.tokens, written + reasoning, reasoning), rule)
    if call.streams:
        answer = Answer.events(tuple(_events(call, completion, usage)))
    else:
        answer = Answer((as_json(_body(call, completion, usage)),))
    return replace(answer, prompt_tokens=usage.prompt, completion_tokens=usage.completion)


def _conversation(call: ReceivedCall) -> Conversation:
    messages = call.body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "'messages' has to be a list that is not empty.", param="messages")
    said: dict[str, list[str]] = {"system": [], "user": []}
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise Refusal(400, f"'messages[{place}].role' is none of {', '.join(sorted(_ROLES))}.", param="messages")
        role = "system" if message["role"] in ("system", "developer") else message["role"]
        said.setdefault(role, []).append(_text(message.get("content"), place))
    return Conversation("\n".join(said["system"]), "\n".join(said["user"]))


def _text(content: Any, place: int) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise Refusal(400, f"'messages[{place}].content' has to be a text or a list of parts.", param="messages")


def _output_limit(body: Mapping[str, Any]) -> int | None:
    temperature = body.get("temperature")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 2):
        raise Refusal(400, "'temperature' has to be between 0 and 2.", param="temperature")
    for name in ("max_completion_tokens", "max_tokens"):
        limit = body.get(name)
        if limit is None:
            continue
        if not isinstance(limit, int) or limit < 1:
            raise Refusal(400, f"'{name}' has to be at least 1.", param=name)
        return limit
    return None


def _within(completion: Completion, limit: int | None) -> Completion:
    """What a model thinks counts too: a small limit can leave nothing for what it says."""
    if limit is None:
        return completion
    left = max(0, limit - count_tokens(completion.reasoning))
    content = completion.content or ""
    if count_tokens(content) <= left:
        return completion
    return replace(completion, content=first_tokens(content, left), finish_reason="length")


def _body(call: ReceivedCall, completion: Completion, usage: TokenUsage) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.content, "refusal": completion.refusal}
    if completion.reasoning:
        message["reasoning_content"] = completion.reasoning
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
    return {**_head(call, "chat.completion"), "choices": [choice], **usage.of_chat()}


def _events(call: ReceivedCall, completion: Completion, usage: TokenUsage) -> Iterator[bytes]:
    options = call.body.get("stream_options")
    with_usage = isinstance(options, Mapping) and options.get("include_usage") is True
    head = _head(call, "chat.completion.chunk") | ({"usage": None} if with_usage else {})
    for delta in _deltas(completion):
        yield as_event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})
    end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": completion.finish_reason}
    yield as_event({**head, "choices": [end]})
    if with_usage:
        yield as_event({**head, "choices": [], **usage.of_chat()})
    yield b"data: [DONE]\n\n"


def _deltas(completion: Completion) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in _WORDS_AN_EVENT.findall(completion.reasoning):
        yield {"reasoning_content": piece}
    for piece in _WORDS_AN_EVENT.findall(completion.content or ""):
        yield {"content": piece}
    if completion.refusal:
        yield {"refusal": completion.refusal}


def _head(call: ReceivedCall, kind: str) -> dict[str, Any]:
    """Without the time: an answer is a function of its request."""
    return {"id": f"chatcmpl-{call.digest}", "object": kind, "created": 0, "model": call.model}
