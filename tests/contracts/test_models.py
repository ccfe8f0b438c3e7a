"""What every adapter of a model promises, against a provider that is faked on this machine over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2
import numpy as np
import pytest

from constants.models import ChatSpec, EmbedderSpec, RerankerSpec
from fake_provider import RunningFakeProvider, running_fake_provider
from infra.embeddings import EMBEDDERS
from infra.embeddings.lexical import LexicalEmbedder
from infra.embeddings.provider import ProviderEmbedder
from infra.llm import CHAT_MODELS
from infra.llm.extractive import ExtractiveSummarizer
from infra.providers.access import ProviderEndpoint
from infra.rerankers import RERANKERS
from services.cost.usage import Usage
from services.errors import ProviderBadAnswer, ProviderError, ProviderKeyRefused, ProviderRateLimited
from services.models.chat import ChatAnswer, ChatModel, ChatRequest
from services.models.summary import Summarizer, SummaryRequest
from services.tree.summarize import ChatSummarizer
from utils.tokens import estimate_tokens

KEY = "a-key-that-nobody-may-read"
TEXTS = ["# Bees\n\nA hive keeps honey.", "Bread rises because of yeast.", "A glacier flows."]
QUESTION = ChatRequest(purpose="answer", system="Be brief.", user="hello", max_tokens=50)


@pytest.fixture(scope="module")
def served() -> Iterator[RunningFakeProvider]:
    with running_fake_provider() as provider:
        yield provider


@pytest.fixture
def provider(served: RunningFakeProvider) -> RunningFakeProvider:
    served.reset()
    return served


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture(params=[*EMBEDDERS])
def embedder(
    request: pytest.FixtureRequest, provider: RunningFakeProvider, http: httpx2.AsyncClient
) -> ProviderEmbedder:
    spec = EmbedderSpec("one", "any-model", request.param, dimensions=256, send_dimensions=True, window=8_000)
    return EMBEDDERS[request.param](spec, ProviderEndpoint(f"{provider.url}/v1", KEY), http)


@pytest.fixture(params=[*CHAT_MODELS])
def chat(request: pytest.FixtureRequest, provider: RunningFakeProvider, http: httpx2.AsyncClient) -> ChatModel:
    return CHAT_MODELS[request.param](ChatSpec("one", "any-model"), ProviderEndpoint(f"{provider.url}/v1", KEY), http)


@pytest.fixture(params=["extractive", *CHAT_MODELS])
def summarizer(request: pytest.FixtureRequest, provider: RunningFakeProvider, http: httpx2.AsyncClient) -> Summarizer:
    if request.param == "extractive":
        return ExtractiveSummarizer()
    model = CHAT_MODELS[request.param](ChatSpec("one", "any-model"), ProviderEndpoint(f"{provider.url}/v1", KEY), http)
    return ChatSummarizer(model, fallback=None)


@pytest.fixture(params=[*RERANKERS])
def reranker_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Embedders.


async def test_an_embedder_answers_a_unit_vector_a_text_in_order(embedder: ProviderEmbedder) -> None:
    vectors, usage = await embedder.send([TEXTS[:2], TEXTS[2:]], "document")
    assert vectors.shape == (3, 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert (usage.calls, usage.input_tokens > 0) == (1, True)


async def test_an_embedder_cuts_a_documents_texts_into_requests_that_hold_all_in_order(
    embedder: ProviderEmbedder,
) -> None:
    many = [f"text number {number}" for number in range(300)]
    requests = embedder.requests([many], "document")
    assert [text for request in requests for document in request for text in document] == many
    assert [place for unit in embedder.units(many) for place in unit.positions] == list(range(300))


async def test_an_embedding_key_tells_texts_apart(embedder: ProviderEmbedder) -> None:
    keys = [key for unit in embedder.units(TEXTS) for key in unit.keys]
    assert len(set(keys)) == 3
    assert keys == [key for unit in embedder.units(TEXTS) for key in unit.keys]


@pytest.mark.parametrize("kind", ["wrong_dimension", "fewer", "more", "nan", "zero"])
async def test_an_embedder_refuses_an_answer_that_is_none(
    embedder: ProviderEmbedder, provider: RunningFakeProvider, kind: str
) -> None:
    provider.faults({"kind": kind})
    with pytest.raises(ProviderBadAnswer):
        await embedder.send([TEXTS], "document")


async def test_the_builtin_embedder_promises_the_same() -> None:
    answer = await LexicalEmbedder().embed([TEXTS], kind="document")
    assert answer.vectors.shape == (3, LexicalEmbedder.space.dimensions)
    assert np.allclose(np.linalg.norm(answer.vectors, axis=1), 1, atol=1e-4)
    assert answer.usage.calls == 0


# Chat models.


async def test_a_chat_model_answers_with_its_usage(chat: ChatModel) -> None:
    answer = await chat.complete(QUESTION)
    assert answer.text
    assert answer.finish_reason == "stop"
    assert answer.usage.calls == 1
    assert answer.usage.input_tokens
    assert answer.usage.output_tokens


async def test_a_chat_model_streams_the_same_text_and_ends_with_the_whole(chat: ChatModel) -> None:
    parts = [part async for part in chat.stream(QUESTION)]
    whole = parts[-1]
    assert isinstance(whole, ChatAnswer)
    assert whole.text == "".join(part for part in parts[:-1] if isinstance(part, str))
    assert whole.text == (await chat.complete(QUESTION)).text


# What a provider does not tell of its bill is counted here.


@pytest.mark.parametrize("kind", ["no_usage", "zero_usage"])
async def test_tokens_that_are_not_told_are_counted(
    chat: ChatModel, embedder: ProviderEmbedder, provider: RunningFakeProvider, kind: str
) -> None:
    answer = await chat.complete(QUESTION)
    told = [
        answer.usage,
        await streamed_usage(chat),
        (await embedder.send([TEXTS], "document"))[1],
    ]
    provider.faults({"kind": kind, "count": None})
    untold = [
        (await chat.complete(QUESTION)).usage,
        await streamed_usage(chat),
        (await embedder.send([TEXTS], "document"))[1],
    ]
    assert [usage.counted_here for usage in told] == [0, 0, 0]
    assert [usage.counted_here for usage in untold] == [1, 1, 1]
    for one, other in zip(told, untold, strict=True):
        assert other.input_tokens == pytest.approx(one.input_tokens, abs=3)
    counted = estimate_tokens(answer.text)
    assert [usage.output_tokens for usage in untold] == [counted, counted, 0]


async def streamed_usage(chat: ChatModel) -> Usage:
    last = [part async for part in chat.stream(QUESTION)][-1]
    assert isinstance(last, ChatAnswer)
    return last.usage


# Errors, the same for all that calls a provider.


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "status", "status": 401}, ProviderKeyRefused),
        ({"kind": "status", "status": 429}, ProviderRateLimited),
        ({"kind": "status", "status": 500}, ProviderError),
    ],
)
async def test_a_refusal_has_a_type_and_no_key_in_it(
    chat: ChatModel,
    embedder: ProviderEmbedder,
    provider: RunningFakeProvider,
    fault: dict[str, object],
    expected: type[ProviderError],
) -> None:
    provider.faults({**fault, "count": 2})
    with pytest.raises(expected) as refused:
        await chat.complete(QUESTION)
    assert KEY not in f"{refused.value!r} {refused.value.as_json()}"
    with pytest.raises(expected) as refused:
        await embedder.send([TEXTS], "document")
    assert KEY not in f"{refused.value!r} {refused.value.as_json()}"


# Summarisers.


async def test_a_summariser_writes_a_title_and_a_text_within_its_budget(summarizer: Summarizer) -> None:
    texts = tuple(
        f"The {name} house has {count} rooms. Nobody lives there." for name, count in [("red", 4), ("old", 9)]
    )
    summary = await summarizer.summarize(SummaryRequest(texts, ((), ()), token_budget=500, max_tokens=80))
    assert summary.text.strip()
    assert summary.titles
    assert all(0 < len(title) <= 32 for title in summary.titles)
    assert summary.meta["summary_kind"]


# Rerankers.


async def test_a_reranker_scores_each_text_in_the_order_given(
    reranker_kind: str, provider: RunningFakeProvider, http: httpx2.AsyncClient
) -> None:
    spec = RerankerSpec("one", "any-model", reranker_kind)  # type: ignore[arg-type]
    access = ProviderEndpoint(f"{provider.url}/v1", KEY, f"{provider.url}/v1")
    reranker = RERANKERS[reranker_kind](spec, access, http)
    ranked = await reranker.send("why does bread rise", TEXTS)
    assert len(ranked.scores) == 3
    assert max(ranked.scores) == ranked.scores[1]
    assert ranked.usage.calls == 1
