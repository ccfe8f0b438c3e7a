"""Models, keys, addresses and budgets that cannot be, on every route that takes them: each is refused with its code and
what to do, before anything is stored or spent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.container import Container
from app.settings import Settings
from tests.client import ApiClient, error_of
from tests.factories import handbook

INGEST = "/v1/document/ingest-markdown"
DOCUMENTS = "/v1/documents"
REBUILD = "/v1/datasets/ds/rebuild"
RETRY_NODES = "/v1/datasets/ds/retry-nodes"
RETRY_JOB = "/v1/jobs/{job}/retry"
RETRIEVE = "/v1/retrieve"
ANSWER = "/v1/answer"
EMBEDDINGS = "/v1/embeddings"
ESTIMATE = "/v1/datasets/ds/estimate"
ROUTES: dict[str, dict[str, Any]] = {
    INGEST: {"dataset_id": "ds"},
    DOCUMENTS: {"dataset_id": "ds", "text": "# Tides\n\nThe moon pulls the sea."},
    REBUILD: {},
    RETRY_NODES: {},
    RETRY_JOB: {},
    RETRIEVE: {"dataset_id": "ds", "query": "honey"},
    ANSWER: {"dataset_id": "ds", "query": "honey"},
    EMBEDDINGS: {"input": "honey"},
    ESTIMATE: {"documents": [{"text": "# Tides\n\nThe moon pulls the sea."}]},
}
PAYING = (INGEST, DOCUMENTS, REBUILD, RETRY_NODES, RETRY_JOB)
# Where a chat model, an embedder and a reranker can be named.
CHAT = ((INGEST, "summary_llm"), (DOCUMENTS, "summary_llm"), (REBUILD, "summary_llm"), (ANSWER, "llm"))
FREE_CHAT = (*CHAT, (ESTIMATE, "summary_llm"))
EMBEDDER = ((EMBEDDINGS, "model"), (ESTIMATE, "embedding_model"))
RERANKER = ((RETRIEVE, "reranker"), (ANSWER, "reranker"))
SECRET = "a-word-of-the-key"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Some of each kind are switched off."""
    models = tmp_path / "models.toml"
    names = ('chat."openai/gpt-6-luna"', 'embedders."voyage/voyage-context-4"', 'rerankers."cohere/rerank-v3.5"')
    models.write_text("\n".join(f"[{name}]\ndisabled = true" for name in names))
    providers = settings.providers.model_copy(update={"models_file": models})
    return settings.model_copy(update={"providers": providers})


@pytest.fixture
async def asked(api: ApiClient, running: None) -> AsyncIterator[Asked]:
    await api.ingest(handbook(1))
    asked = Asked(api, (await api.data("/v1/jobs"))["items"][0]["id"])
    documents = (await api.data("/v1/documents", dataset_id="ds"))["items"]
    jobs = (await api.data("/v1/jobs"))["items"]
    yield asked
    assert (await api.data("/v1/documents", dataset_id="ds"))["items"] == documents
    assert (await api.data("/v1/jobs"))["items"] == jobs


class Asked:
    """A dataset with a tree, and every route to ask about it."""

    def __init__(self, api: ApiClient, job: str) -> None:
        self._api = api
        self._job = job

    async def __call__(self, route: str, **fields: Any) -> httpx2.Response:
        return await self._sent(route, fields, {})

    async def with_header(self, route: str, name: str, value: str) -> httpx2.Response:
        return await self._sent(route, {}, {name.encode(): value.encode()})

    async def _sent(self, route: str, fields: dict[str, Any], headers: dict[bytes, bytes]) -> httpx2.Response:
        path, body = route.format(job=self._job), {**ROUTES[route], **fields}
        if route == INGEST:
            file = {"file": ("tides.md", b"# Tides\n\nThe moon pulls the sea.", "text/markdown")}
            return await self._api.post(path, data=body, files=file, headers=headers)
        # Python writes NaN and Infinity as some clients do, though JSON has neither.
        headers = {b"content-type": b"application/json", **headers}
        return await self._api.post(path, content=json.dumps(body), headers=headers)


def told(response: httpx2.Response) -> str:
    return str(response.json()["error"]["message"])


async def test_an_unknown_chat_model_is_refused_everywhere(asked: Asked) -> None:
    for name in ("nothing", "nowhere/model", "openai/", "x" * 200, "voyage/voyage-context-3", "a\0b"):
        for route, field in FREE_CHAT:
            refused = await asked(route, **{field: name})
            assert error_of(refused) == (422, "unknown_model"), (route, name)
            assert "name one of `details.known`, or provider/model" in told(refused)
            assert len(told(refused)) < 200
            assert "gemini" in refused.json()["error"]["details"]["known"]


async def test_an_unknown_embedder_or_reranker_is_refused_everywhere(asked: Asked) -> None:
    for name in ("nothing", "nowhere/model", "deepseek_v3"):
        for route, field in (*EMBEDDER, *RERANKER):
            refused = await asked(route, **{field: name})
            assert error_of(refused) == (422, "unknown_model"), (route, name)
            assert name in told(refused)
            assert "name one of `details.known`" in told(refused)


async def test_a_model_that_is_switched_off_is_refused_everywhere(asked: Asked) -> None:
    for where, name in (
        (FREE_CHAT, "openai"),
        (FREE_CHAT, "openai/gpt-6-luna"),
        (EMBEDDER, "voyage/voyage-context-4"),
        (RERANKER, "cohere/rerank-v3.5"),
    ):
        for route, field in where:
            refused = await asked(route, **{field: name})
            assert error_of(refused) == (422, "unknown_model"), (route, name)
            assert "switched off here; name another" in told(refused)


async def test_a_model_whose_provider_has_no_key_is_refused_everywhere(asked: Asked) -> None:
    """But for the estimate, which calls nobody and asks for no key."""
    for where, name, field_of_key in (
        (CHAT, "deepseek_v3", "byok_deepseek_api_key"),
        (EMBEDDER[:1], "voyage/voyage-context-3", "byok_voyage_api_key"),
        (RERANKER, "voyage/rerank-2.5", "byok_voyage_api_key"),
    ):
        for route, field in where:
            refused = await asked(route, **{field: name})
            assert error_of(refused) == (422, "missing_provider_key"), (route, name)
            assert f"the field `{field_of_key}` or the header X-Byok-" in told(refused)
            assert "_API_KEY" in told(refused)
    for field, name in (("summary_llm", "deepseek_v3"), ("embedding_model", "voyage/voyage-context-3")):
        assert (await asked(ESTIMATE, **{field: name})).status_code == 200


NO_KEYS = {
    "": "leave the field out to use the service's own",
    "  ": "leave the field out to use the service's own",
    f"{SECRET} x": "Copy only the key itself",
    f"{SECRET}\x07": "Copy only the key itself",
    f"{SECRET}ü": "Copy only the key itself",
    SECRET * 100: "more than 1,000 characters",
}


@pytest.mark.parametrize("as_header", [False, True], ids=["field", "header"])
async def test_what_is_no_key_is_refused_everywhere(asked: Asked, as_header: bool) -> None:
    for key, advice in NO_KEYS.items():
        for route in ROUTES:
            if as_header:
                refused = await asked.with_header(route, "X-BYOK-Cohere-Api-Key", key)
            else:
                refused = await asked(route, byok_cohere_api_key=key)
            assert error_of(refused) == (422, "validation_error"), (route, key)
            assert advice in told(refused)
            assert "byok" in told(refused)
            assert SECRET not in refused.text


async def test_a_key_under_a_name_that_there_is_not_is_refused_everywhere(asked: Asked) -> None:
    """The work would otherwise go on somebody else's key, or none."""
    for route in ROUTES:
        refused = await asked(route, byok_opneai_api_key=SECRET)
        assert error_of(refused) == (422, "validation_error"), route
        assert "`byok_opneai_api_key`: Unknown field" in told(refused)
        misspelt = await asked.with_header(route, "X-BYOK-OpenAI-Key", SECRET)
        assert error_of(misspelt) == (422, "validation_error"), route
        assert "x-byok-openai-api-key" in told(misspelt)
        assert SECRET not in refused.text + misspelt.text


async def test_only_the_operator_says_where_calls_go(asked: Asked) -> None:
    for name in ("base_url", "api_base", "openai_base_url", "provider_base_urls"):
        for route in ROUTES:
            refused = await asked(route, **{name: "http://10.0.0.8/v1"})
            assert error_of(refused) == (422, "base_url_not_allowed"), route
            assert "RAPTOR_PROVIDER_BASE_URLS" in told(refused)
            assert "leave the address out" in told(refused)
            header = f"X-BYOK-{name.replace('_', '-')}"
            refused = await asked.with_header(route, header, "http://10.0.0.8/v1")
            assert error_of(refused) == (422, "base_url_not_allowed"), route


@pytest.mark.parametrize("name", ["max_cost", "max_tokens", "max_calls"])
async def test_a_budget_that_is_none_is_refused_everywhere(asked: Asked, name: str) -> None:
    for value in (0, -1, -0.0, float("nan"), float("inf"), float("-inf"), "much"):
        for route in PAYING if name == "max_tokens" else (*PAYING, ANSWER):
            refused = await asked(route, **{name: value})
            assert error_of(refused) == (422, "validation_error"), (route, value)
            assert f"`{name}`" in told(refused)
            assert "has to be a number above 0" in told(refused) or "Input should be a" in told(refused)


async def test_a_budget_where_none_is_kept_is_refused_and_not_passed_over(asked: Asked) -> None:
    for route in (RETRIEVE, EMBEDDINGS, ESTIMATE):
        refused = await asked(route, max_cost=1)
        assert error_of(refused) == (422, "validation_error"), route
        assert "`max_cost`: Unknown field" in told(refused)


async def test_nothing_of_it_reached_the_books(asked: Asked, container: Container) -> None:
    await asked(INGEST, summary_llm="nothing")
    await asked(REBUILD, tree={"summary_llm": "nothing"})
    async with container.engine.connect() as connection:
        assert (await connection.scalar(text("select count(*) from job_secrets"))) == 0
        assert (await connection.scalar(text("select count(*) from datasets where settings <> '{}'"))) == 0
