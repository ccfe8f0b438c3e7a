"""Texts over the token budget: cut for the prompt, and the summary says so."""

from __future__ import annotations

import pytest

from services.cost.usage import Usage
from services.models.chat import ChatAnswer, ChatRequest
from services.models.summary import SummaryRequest
from services.tree.summarize import ChatSummarizer, fitted
from utils.tokens import estimate_tokens


class Model:
    provider, model, concurrency = "some", "model", 1

    def __init__(self) -> None:
        self.seen = ""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        self.seen = request.user
        return ChatAnswer("Bees\n\nBees winter in a cluster.", "stop", Usage(calls=1))


def passages(*words: int) -> SummaryRequest:
    texts = tuple("Bees winter in a cluster. " * (count // 5) for count in words)
    return SummaryRequest(texts=texts, heading_paths=((),) * len(texts), token_budget=300, max_tokens=60)


@pytest.mark.parametrize(
    ("request_", "cut"),
    [
        pytest.param(passages(50, 60), 0, id="what fits is sent whole"),
        pytest.param(passages(9000), 1, id="a single text over the budget is cut to it"),
        pytest.param(passages(20, 9000, 9000), 2, id="the long ones give way, the short one stays"),
    ],
)
async def test_a_summary_says_how_many_of_its_passages_were_cut(request_: SummaryRequest, cut: int) -> None:
    model = Model()
    summary = await ChatSummarizer(model, None).summarize(request_)  # type: ignore[arg-type]
    assert summary.meta.get("truncated_passages", 0) == cut
    texts = fitted(request_.texts, request_.token_budget)
    assert sum(map(estimate_tokens, texts)) <= request_.token_budget
    assert all(text in model.seen for text in texts)
