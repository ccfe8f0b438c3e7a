"""The bill of a call, in the fields of each endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.fake_provider.calls import Call
from infra.fake_provider.faults import FaultRule


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens; `reasoning` is a part of `completion`. Not `reported`: the answer is silent about them."""

    prompt: int
    completion: int = 0
    reasoning: int = 0
    reported: bool = True

    def of_chat(self) -> dict[str, Any]:
        if not self.reported:
            return {}
        usage = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }
        return {"usage": usage}

    def of_input(self, call: Call) -> dict[str, Any]:
        """For embeddings and rerankings. Voyage counts all tokens together; Cohere bills searches."""
        if not self.reported or (call.dialect == "cohere" and call.endpoint == "rerank"):
            return {}
        prompt = {} if call.dialect == "voyage" else {"prompt_tokens": self.prompt}
        return {"usage": {**prompt, "total_tokens": self.prompt}}


def billed(usage: Usage, rule: FaultRule | None) -> Usage:
    """The usage as a rule about bills leaves it."""
    if rule is not None and rule.kind == "huge_usage":
        factor = rule.factor
        return Usage(usage.prompt * factor, usage.completion * factor, usage.reasoning * factor)
    if rule is not None and rule.kind == "no_usage":
        return Usage(usage.prompt, usage.completion, usage.reasoning, reported=False)
    return usage
