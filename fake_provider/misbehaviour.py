"""What a language model does on a bad day: its completion, spoiled in one way at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fake_provider.conversation import Conversation
from fake_provider.faults import FaultRule
from fake_provider.tokens import count_tokens

FinishReason = Literal["stop", "length", "content_filter"]

_REPEATED_TOKENS = 800
_REFUSED = "I'm sorry, but I can't help with that request."


@dataclass(frozen=True, slots=True)
class Completion:
    content: str | None
    reasoning: str = ""
    finish_reason: FinishReason = "stop"
    refusal: str | None = None


def spoiled(completion: Completion, conversation: Conversation, rule: FaultRule | None) -> Completion:
    """The completion as a rule about chat leaves it."""
    spoil = _SPOILERS.get(rule.kind) if rule is not None else None
    return completion if spoil is None else spoil(completion, conversation)


def _empty(completion: Completion, _conversation: Conversation) -> Completion:
    return replace(completion, content="")


def _whitespace(completion: Completion, _conversation: Conversation) -> Completion:
    return replace(completion, content=" \n\n\t \u00a0\n")


def _refusal(completion: Completion, _conversation: Conversation) -> Completion:
    return replace(completion, content=None, refusal=_REFUSED)


def _refusal_in_text(completion: Completion, _conversation: Conversation) -> Completion:
    return replace(completion, content=_REFUSED)


def _length(completion: Completion, _conversation: Conversation) -> Completion:
    content = completion.content or ""
    return replace(completion, content=content[: max(1, len(content) * 2 // 3)], finish_reason="length")


def _repetition(completion: Completion, _conversation: Conversation) -> Completion:
    """The end of it over and over. The finish reason is `stop`: nothing but the text tells."""
    content = completion.content or "and so on."
    phrase = " ".join(content.split()[-12:])
    times = _REPEATED_TOKENS // max(1, count_tokens(phrase)) + 1
    return replace(completion, content=" ".join([content, *[phrase] * times]))


def _longer_than_input(completion: Completion, conversation: Conversation) -> Completion:
    """All that was given, and then the completion; it invents nothing and is not a cut answer."""
    given = [element.text for element in conversation.elements] or [conversation.user]
    title, separator, text = (completion.content or "").partition("\n\n")
    return replace(completion, content=title + separator + " ".join(given) + " " + (text or title))


def _invented(completion: Completion, conversation: Conversation) -> Completion:
    """With a number, a name and a URL that nobody gave."""
    given = conversation.user
    number = next(n for n in range(48_291, 10**9, 7) if str(n) not in given)
    name = next((name for name in _names() if name not in given), "Quillem Brantwick II")
    url = f"https://{name.split()[1].lower()}.example/reports/{number}"
    added = f"According to {name}, {number} cases were counted, see {url}."
    return replace(completion, content=f"{completion.content} {added}")


def _names() -> list[str]:
    return [
        f"{first} {last}" for first in ("Quillem", "Zorvath", "Ysolde") for last in ("Brantwick", "Okoromo", "Xebec")
    ]


def _echo_injection(completion: Completion, conversation: Conversation) -> Completion:
    """It obeys a text that asked for its instructions: they and the delimiters are in the answer."""
    content = f"Understood, here are my instructions.\n\n{conversation.system}\n\n{conversation.user[:2000]}"
    return replace(completion, content=content)


def _content_filter(completion: Completion, _conversation: Conversation) -> Completion:
    return replace(completion, content="", finish_reason="content_filter")


def _content_not_json(completion: Completion, _conversation: Conversation) -> Completion:
    return replace(completion, content='Sure! Here is the JSON you asked for:\n```json\n{"drop": [1, 2')


def _drop_everything(completion: Completion, conversation: Conversation) -> Completion:
    """A decision without sense: all pieces, and some that there are not."""
    numbers = [element.number for element in conversation.elements]
    beyond = [max(numbers, default=0) + 1, 10**9, -1]
    return replace(completion, content=json.dumps({"drop": numbers + beyond, "break_before": beyond, "join": numbers}))


_SPOILERS: Mapping[str, Callable[[Completion, Conversation], Completion]] = {
    "empty": _empty,
    "whitespace": _whitespace,
    "refusal": _refusal,
    "refusal_in_text": _refusal_in_text,
    "length": _length,
    "repetition": _repetition,
    "longer_than_input": _longer_than_input,
    "invented": _invented,
    "echo_injection": _echo_injection,
    "content_filter": _content_filter,
    "content_not_json": _content_not_json,
    "drop_everything": _drop_everything,
}
