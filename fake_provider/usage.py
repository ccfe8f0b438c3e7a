"""The bill of a call, in the fields of each endpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from fake_provider.calls import ReceivedCall
from fake_provider.faults import FaultRule


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens; `reasoning` is a part of `completion`. Not `reported`: the answer is silent about them, or says 0."""

    prompt: int
    completion: int = 0
    reasoning: int = 0
    reported: bool | Literal["as 0"] = True

    def of_chat(self) -> dict[str, Any]:
        if not self.reported:
            return {}
        prompt, completion, reasoning = self._said(self.prompt, self.completion, self.reasoning)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
        return {"usage": usage}

    def of_input(self, call: ReceivedCall) -> dict[str, Any]:
        """For embeddings and rerankings. Voyage counts all tokens together; Cohere bills searches."""
        if not self.reported or (call.dialect == "cohere" and call.endpoint == "rerank"):
            return {}
        (said,) = self._said(self.prompt)
        prompt = {} if call.dialect == "voyage" else {"prompt_tokens": said}
        return {"usage": {**prompt, "total_tokens": said}}

    def _said(self, *tokens: int) -> tuple[int, ...]:
        return tokens if self.reported is True else (0,) * len(tokens)


def billed(usage: TokenUsage, rule: FaultRule | None) -> TokenUsage:
    """The usage as a rule about bills leaves it."""
    if rule is not None and rule.kind == "huge_usage":
        factor = rule.factor
        return TokenUsage(usage.prompt * factor, usage.completion * factor, usage.reasoning * factor)
    if rule is not None and rule.kind in ("no_usage", "zero_usage"):
        return replace(usage, reported=False if rule.kind == "no_usage" else "as 0")
    return usage
