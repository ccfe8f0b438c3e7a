"""Every provider of the contract, from an upload to an answer, with the key that its caller brought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from app.settings import Settings
from fake_provider import RunningFakeProvider
from fake_provider.calls import fingerprint
from tests.client import ApiClient, error_of
from tests.factories import handbook
from tests.providers.conftest import summaries_of, with_providers

pytestmark = pytest.mark.usefixtures("running")

TEXT = handbook(1)


@dataclass(frozen=True)
class ChatProvider:
    model: str
    field: str
    path: str


CHAT = [
    ChatProvider("deepseek_v3", "byok_deepseek_api_key", "/chat/completions"),
    ChatProvider("gemini", "byok_gemini_api_key", "/v1beta/openai/chat/completions"),
    ChatProvider("qwen3_235b_a22b", "byok_dashscope_api_key", "/compatible-mode/v1/chat/completions"),
    ChatProvider("openai", "byok_openai_api_key", "/v1/chat/completions"),
    ChatProvider("openai/gpt-5-mini", "byok_openai_api_key", "/v1/chat/completions"),
    ChatProvider("azure/our-deployment", "byok_azure_openai", "/openai/v1/chat/completions"),
    ChatProvider("cohere", "byok_cohere_api_key", "/compatibility/v1/chat/completions"),
    ChatProvider("huggingface/Qwen/Qwen3-8B", "byok_huggingface_token", "/v1/chat/completions"),
]


@pytest.mark.parametrize("chat", CHAT, ids=lambda chat: chat.model)
async def test_summaries_come_from_any_provider_on_the_key_that_was_brought(
    chat: ChatProvider, api: ApiClient, provider: RunningFakeProvider
) -> None:
    key: dict[str, Any] = {chat.field: f"brought-{chat.field}"}
    answer = await api.upload(TEXT, summary_llm=chat.model, **key)
    assert answer.status_code == 200, answer.text
    summaries = await summaries_of(api)
    assert summaries
    assert {node["meta"]["summary_kind"] for node in summaries} == {"abstractive"}
    stats = provider.stats()
    assert stats["by_endpoint"][chat.path] == len(summaries) == stats["by_key"][fingerprint(key[chat.field])]


EMBEDDERS = [
    ("voyage/voyage-context-3", "byok_voyage_api_key", 1024),
    ("voyage/voyage-context-4", "byok_voyage_api_key", 1024),
    ("openai/text-embedding-3-small", "byok_openai_api_key", 1536),
    ("openai/text-embedding-3-large", "byok_openai_api_key", 1024),
]


class TestEmbedders:
    @pytest.fixture(params=EMBEDDERS, ids=lambda entry: entry[0])
    def embedder(self, request: pytest.FixtureRequest) -> tuple[str, str, int]:
        return request.param  # type: ignore[no-any-return]

    @pytest.fixture
    def settings(self, settings: Settings, embedder: tuple[str, str, int]) -> Settings:
        keyless = with_providers(settings, voyage_api_key=None, deepseek_api_key=None)
        return keyless.model_copy(
            update={"default_embedder": embedder[0], "default_summary_llm": "extractive"},
        )

    async def test_vectors_come_from_any_provider_for_documents_and_for_questions(
        self, api: ApiClient, provider: RunningFakeProvider, embedder: tuple[str, str, int]
    ) -> None:
        name, field, dimensions = embedder
        key: dict[str, Any] = {field: "brought-key"}
        await api.ingest(TEXT, **key)
        found = await api.retrieve("Who lays eggs in cells of wax?", **key)
        assert "bees" in found["results"][0]["text"]
        assert found["usage"]["calls"] == 1
        dataset = await api.data("/v1/index/stats")
        (entry,) = dataset["items"]
        assert (entry["model"], entry["dimensions"]) == (name, dimensions)
        assert set(provider.stats()["by_key"]) == {fingerprint("brought-key")}


class TestAServerOfOnesOwn:
    """TEI, vLLM, Ollama, llama.cpp: any OpenAI-compatible server that the operator names."""

    @pytest.fixture
    def settings(self, settings: Settings, provider: RunningFakeProvider) -> Settings:
        own = with_providers(
            settings,
            provider_base_url_override=None,
            provider_base_urls={"local": f"{provider.url}/anything/v1", "keyed": f"{provider.url}/keyed/v1"},
            provider_keys={"keyed": SecretStr("own-key")},
        )
        return own.model_copy(update={"default_embedder": "local/BAAI/bge-m3", "default_summary_llm": "keyed/llama4"})

    async def test_it_serves_chat_and_embeddings_by_its_url(
        self, api: ApiClient, provider: RunningFakeProvider
    ) -> None:
        await api.ingest(TEXT)
        found = await api.retrieve("Who lays eggs in cells of wax?")
        assert "bees" in found["results"][0]["text"]
        stats = provider.stats()
        assert set(stats["by_endpoint"]) == {"/anything/v1/embeddings", "/keyed/v1/chat/completions"}
        assert set(stats["by_key"]) == {fingerprint("none"), fingerprint("own-key")}
        assert {call["model"] for call in provider.calls()} == {"BAAI/bge-m3", "llama4"}


class TestAModelThatTheRegistryDoesNotKnow:
    """Served by the operator's own server: one vector says its dimensions."""

    @pytest.fixture
    def settings(self, settings: Settings, provider: RunningFakeProvider) -> Settings:
        own = with_providers(
            settings, provider_base_url_override=None, provider_base_urls={"local": f"{provider.url}/v1"}
        )
        return own.model_copy(
            update={"default_embedder": "local/acme/text-embedding-ada-9", "default_summary_llm": "builtin/extractive"}
        )

    async def test_it_is_asked_for_its_dimensions_once(self, api: ApiClient, provider: RunningFakeProvider) -> None:
        await api.ingest(TEXT, source="one.md")
        # One to measure, one for the passages, one for the tree above them.
        assert provider.stats()["by_endpoint"]["/v1/embeddings"] == 3
        await api.ingest(TEXT + "More.", source="two.md", build_tree="false")
        assert provider.stats()["by_endpoint"]["/v1/embeddings"] == 4
        dataset = await api.data("/v1/datasets/ds")
        assert dataset["dimensions"] == 1536
        found = await api.retrieve("Who lays eggs in cells of wax?")
        assert "bees" in found["results"][0]["text"]

    async def test_a_server_that_is_down_is_named_and_nothing_is_kept(
        self, api: ApiClient, provider: RunningFakeProvider
    ) -> None:
        provider.faults({"kind": "status", "status": 503, "count": None})
        answer = await api.upload(TEXT)
        assert error_of(answer) == (503, "embedding_service_unavailable")
        assert "local" in answer.json()["error"]["message"]
        assert error_of(await api.get("/v1/datasets/ds"))[1] == "dataset_not_found"
