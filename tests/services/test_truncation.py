"""Texts over the token budget: cut for the prompt, and the summary says so."""

from __future__ import annotations

import pytest

from services.cost.usage import Usage
from services.models.chat import ChatAnswer, ChatRequest
from services.models.summary import SummaryRequest
from services.tree.summarize import ChatSummarizer, UnusableSummary, fitted
from utils.tokens import estimate_tokens


class Model:
    provider, model, concurrency = "some", "model", 1

    def __init__(self, answer: str = "Bees\n\nBees winter in a cluster.") -> None:
        self.seen = ""
        self._answer = answer

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        self.seen = request.user
        return ChatAnswer(self._answer, "stop", Usage(calls=1))


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


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        # 42 words are what the model is asked for here. Cyrillic counts twice its tokens with us.
        pytest.param(40, True, id="within the words it was asked for"),
        pytest.param(200, False, id="many times as long"),
    ],
)
async def test_a_russian_summary_is_refused_only_when_it_is_far_too_long(words: int, taken: bool) -> None:
    answer = "Пчёлы\n\n" + " ".join(f"зимовка{number}" for number in range(words))
    summarizer = ChatSummarizer(Model(answer), None)  # type: ignore[arg-type]
    if taken:
        assert (await summarizer.summarize(passages(50))).meta["summary_kind"] == "abstractive"
    else:
        with pytest.raises(UnusableSummary):
            await summarizer.summarize(passages(50))
