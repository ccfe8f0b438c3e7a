"""The embeddings endpoint, as OpenAI's own client and others meet it."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import openai
import pytest

from app.container import Container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from services.text.lexical_vectors import lexical_vectors
from tests.answering import asking, listening
from tests.client import ApiClient, error_of

TEXTS = ["An anchor holds a ship.", "Rye dough is sour.", "Con tàu thả neo ở vịnh.", "蜜蜂采蜜。"]


async def embedded(api: ApiClient, **body: Any) -> dict[str, Any]:
    response = await api.post("/v1/embeddings", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_openais_own_client_works_unchanged_over_a_real_connection(container: Container) -> None:
    secret = await container.access.create("default", "test")
    async with listening(container) as url:
        async with openai.AsyncOpenAI(api_key=secret, base_url=f"{url}/v1", max_retries=0) as client:
            answer = await client.embeddings.create(model="builtin/lexical-1", input=TEXTS)
            as_numbers = await client.embeddings.create(
                model="builtin/lexical-1", input=TEXTS[0], encoding_format="float", dimensions=1024
            )
        assert [entry.index for entry in answer.data] == [0, 1, 2, 3]
        assert np.allclose([entry.embedding for entry in answer.data], lexical_vectors(TEXTS))
        assert np.allclose(as_numbers.data[0].embedding, lexical_vectors(TEXTS[:1])[0])
        assert answer.model == "builtin/lexical-1"
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
        async with openai.AsyncOpenAI(api_key="rpt_wrong", base_url=f"{url}/v1", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError) as refused:
                await stranger.embeddings.create(model="builtin/lexical-1", input="x")
        assert refused.value.code == "unauthenticated"


async def test_both_encodings_carry_the_same_vectors(api: ApiClient) -> None:
    numbers = await embedded(api, input=TEXTS)
    encoded = await embedded(api, input=TEXTS, encoding_format="base64")
    for one, other in zip(numbers["data"], encoded["data"], strict=True):
        assert np.array_equal(
            np.array(one["embedding"], np.float32), np.frombuffer(base64.b64decode(other["embedding"]), "<f4")
        )
    assert numbers["object"] == "list"
    assert numbers["data"][0]["object"] == "embedding"


async def test_what_is_too_long_is_cut_and_counted(api: ApiClient) -> None:
    answer = await embedded(api, input=["short", "word " * 20_000, "word " * 30_000])
    assert answer["truncated"] == 2
    assert answer["data"][1]["embedding"] == answer["data"][2]["embedding"]
    assert answer["usage"]["prompt_tokens"] <= 2 * 8_192 + 10
    assert (await embedded(api, input=["short"]))["truncated"] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_error"),
        ({"input": []}, "validation_error"),
        ({"input": ""}, "validation_error"),
        ({"input": ["a", ""]}, "validation_error"),
        ({"input": ["a"] * 65}, "validation_error"),
        ({"input": [1, 2, 3]}, "validation_error"),
        ({"input": [[1, 2], [3]]}, "validation_error"),
        ({"input": "a\0b"}, "validation_error"),
        ({"input": "a", "encoding_format": "int8"}, "validation_error"),
        ({"input": "a", "dimensions": 0}, "validation_error"),
        ({"input": "a", "dimensions": 512}, "validation_error"),
        ({"input": "a", "model": "no/such-model"}, "unknown_model"),
        ({"input": "a", "model": "voyage/voyage-context-3"}, "missing_provider_key"),
        ({"input": "a", "byok_openai_api_key": ""}, "validation_error"),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_with_its_reason(api: ApiClient, body: dict[str, Any], code: str) -> None:
    assert error_of(await api.post("/v1/embeddings", json=body)) == (422, code)


async def test_a_full_request_of_64_inputs_is_answered_in_order(api: ApiClient) -> None:
    texts = [f"text number {number}" for number in range(64)]
    answer = await embedded(api, input=texts)
    assert np.allclose([entry["embedding"] for entry in answer["data"]], lexical_vectors(texts))


class TestWithAProvider:
    @pytest.fixture
    def settings(self, settings: Settings, provider: RunningFakeProvider) -> Settings:
        return asking(settings, provider)

    async def test_a_key_that_is_brought_is_used_and_the_bill_is_shown(
        self, api: ApiClient, provider: RunningFakeProvider
    ) -> None:
        response = await api.post(
            "/v1/embeddings",
            json={"input": TEXTS, "model": "voyage/voyage-context-3"},
            headers={"X-BYOK-Voyage-Api-Key": "their-own-voyage-key"},
        )
        assert response.status_code == 200, response.text
        answer = response.json()
        assert {len(entry["embedding"]) for entry in answer["data"]} == {1024}
        assert answer["usage"]["cost"] > 0
        assert "their-own-voyage-key" not in response.text
        assert provider.stats()["calls"] == 1

    async def test_a_key_that_its_provider_refuses_is_told_without_the_key(
        self, api: ApiClient, provider: RunningFakeProvider
    ) -> None:
        body = {"input": "a", "model": "openai/text-embedding-3-small"}
        refused = await api.post("/v1/embeddings", json={**body, "byok_openai_api_key": "bad-key-0001"})
        assert error_of(refused) == (502, "provider_auth")
        assert provider.stats()["calls"] == 1
        assert "bad-key-0001" not in refused.text
