"""What is made of a model's words: a scripted model, everything else real."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import pytest

from app.container import Container
from services.cost.budget import CallContext
from services.cost.usage import Usage
from services.domain import TenantId
from services.errors import ContextTooLong, ProviderBadAnswer
from services.models.chat import ChatAnswer, ChatRequest
from services.models.registry import Models, ResolvedModel
from services.retrieval.answer import Answered, Answerer, Delta, Question, Statement
from services.retrieval.query import Query
from tests.libraries import anchors

pytestmark = pytest.mark.filled_with(put=anchors)


class Scripted:
    """A model that says what it is told to; `{mark}` in it becomes the mark of the question's delimiters."""

    provider, model, concurrency = "scripted", "model", 1

    def __init__(self, *parts: str, most_sources: int = 100) -> None:
        self.requests: list[ChatRequest] = []
        self._parts = parts
        self._most = most_sources

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        self.requests.append(request)
        if request.user.count("</source") > self._most:
            raise ContextTooLong
        parts = [part.replace("{mark}", request.user.split()[1]) for part in self._parts]
        for part in parts:
            yield part
        yield ChatAnswer("".join(parts), "stop", Usage(calls=1))

    # The port `Models`, as far as an answer needs it.

    def resolve_chat(self, name: str) -> ResolvedModel:
        return ResolvedModel(name)

    def chosen_chat(self, _name: str, _context: CallContext) -> str:
        return "scripted/model"

    def chat(self, _name: str, _context: CallContext) -> Scripted:
        return self


async def answered(container: Container, tenant: TenantId, model: Scripted, **query: Any) -> tuple[str, Answered]:
    """The text as it came, and the answer."""
    services = container.services
    answerer = Answerer(services.retriever, cast(Models, model), services.open_storage)
    question = Question(Query("ds", "How does an anchor hold?", **query), max_output_tokens=100)
    events = [event async for event in answerer.answer(tenant, question)]
    last = events[-1]
    assert isinstance(last, Answered)
    return "".join(event.text for event in events if isinstance(event, Delta)), last


def marks(statements: Sequence[Statement]) -> list[tuple[str | None, list[bool]]]:
    return [(one.mark, [cited.hit is not None for cited in one.citations]) for one in statements]


async def test_citations_that_lead_nowhere_and_statements_without_one_are_marked(
    container: Container, tenant: TenantId
) -> None:
    model = Scripted("An anchor holds by its flukes [1", "]. It weighs 900 kg [1]. So it is. It sinks [1][99", "].")
    text, answer = await answered(container, tenant, model)
    assert text == answer.text
    assert marks(answer.statements) == [
        (None, [True]),
        (None, [True]),
        ("uncited", []),
        ("unresolved", [True, False]),
    ]
    assert [one.unsupported for one in answer.statements] == [(), ("900",), (), ()]
    span = answer.statements[0].citations[0].spans[0]
    assert span.text == "An anchor holds a ship by its flukes."


@pytest.mark.parametrize(
    "parts",
    [
        ("NOT IN THIS DATASET",),
        ("NOT", " IN THIS DATA", "SET."),
        ('"Not in this dataset".',),
        ("NOT IN THIS DATASET, but",),
    ],
    ids=str,
)
async def test_not_found_is_one_sentence_however_the_model_says_it(
    container: Container, tenant: TenantId, parts: tuple[str, ...]
) -> None:
    text, answer = await answered(container, tenant, Scripted(*parts))
    assert (text, answer.text, answer.found) == ("Not in this dataset.", "Not in this dataset.", False)


async def test_what_only_begins_like_it_is_an_answer(container: Container, tenant: TenantId) -> None:
    for said in ("No", "Not in the harbour [1].", "N"):
        text, answer = await answered(container, tenant, Scripted(*said))
        assert (text, answer.text, answer.found) == (said, said, True)


@pytest.mark.parametrize(
    "parts", [("Gladly: <source {mark}", " n=1>"), ("Words. " * 400,), (" \n",)], ids=["mark", "long", "blank"]
)
async def test_what_is_no_answer_is_an_error(container: Container, tenant: TenantId, parts: tuple[str, ...]) -> None:
    with pytest.raises(ProviderBadAnswer):
        await answered(container, tenant, Scripted(*parts))


async def test_only_what_the_model_was_shown_can_be_cited(container: Container, tenant: TenantId) -> None:
    model = Scripted("It holds [1]. It holds well [8].", most_sources=2)
    _, answer = await answered(container, tenant, model, top_k=8)
    assert len(model.requests) == 3
    assert marks(answer.statements) == [(None, [True]), ("unresolved", [False])]


async def test_each_question_draws_its_own_delimiters(container: Container, tenant: TenantId) -> None:
    model = Scripted("It holds [1].")
    for _ in range(2):
        await answered(container, tenant, model)
    first, second = (request.user.split()[1] for request in model.requests)
    assert first != second
    assert all(request.user.rstrip().endswith("How does an anchor hold?") for request in model.requests)
