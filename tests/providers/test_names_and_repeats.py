"""Names of models, what is not paid again, and parameters that a model refuses."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, check_providers
from fake_provider import RunningFakeProvider
from infra.providers.access import BaseUrlRefused, checked_base_url
from tests.client import ApiClient, error_of
from tests.factories import handbook, page
from tests.providers.conftest import summaries_of, with_providers

TEXT = handbook(1)


@pytest.mark.usefixtures("running")
async def test_an_ingest_that_is_repeated_unchanged_makes_no_call(
    api: ApiClient, provider: RunningFakeProvider
) -> None:
    await api.ingest(TEXT)
    provider.reset()
    assert (await api.ingest(TEXT))["status"] == "unchanged"
    assert (await api.ingest(TEXT, upsert_mode="skip_duplicates"))["status"] == "skipped"
    assert (await api.ingest(TEXT, upsert_mode="replace"))["status"] == "embedded"
    rebuilt = await api.post("/v1/datasets/ds/rebuild", json={})
    assert (await api.finished(rebuilt.json()["data"]["job_id"]))["status"] == "succeeded"
    assert provider.stats()["calls"] == 0


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("deepseek_v3", "deepseek/deepseek-v4-flash"),
        ("qwen3_235b_a22b", "dashscope/qwen3.8-flash"),
        ("deepseek/deepseek-reasoner", "deepseek/deepseek-v4-pro"),
    ],
)
async def test_a_retired_models_name_means_its_successor_and_the_answer_says_so(
    name: str, successor: str, api: ApiClient
) -> None:
    answer = await api.upload(TEXT, summary_llm=name, byok_dashscope_api_key="key", headers={"Prefer": "respond-async"})
    (warning,) = answer.json()["data"]["warnings"]
    assert successor in warning
    assert "retired" in warning or "not offered" in warning


@pytest.mark.usefixtures("running")
async def test_a_rebuild_and_an_estimate_say_so_too(api: ApiClient) -> None:
    await api.ingest(TEXT)
    for body in ({"summary_llm": "deepseek_v3"}, {"tree": {"summary_llm": "deepseek_v3"}}):
        begun = await api.post("/v1/datasets/ds/rebuild", json=body)
        told = begun.json()["data"]
        assert [warning.partition(";")[0] for warning in told["warnings"]] == ["DeepSeek-V3 was retired on 2026-07-24"]
        await api.finished(told["job_id"])
        expected = (await api.post("/v1/datasets/ds/estimate", json=body)).json()["data"]
        assert (expected["warnings"], expected["summary_llm"]) == (told["warnings"], "deepseek/deepseek-v4-flash")
    # The name stays with the dataset, and so does what is to be said about it.
    assert (await api.post("/v1/datasets/ds/estimate", json={})).json()["data"]["warnings"] == told["warnings"]
    for body in ({"summary_llm": "deepseek"}, {"summary_llm": "deepseek/deepseek-v4-flash"}):
        begun = await api.post("/v1/datasets/ds/rebuild", json=body)
        assert begun.json()["data"]["warnings"] == []
        await api.finished(begun.json()["data"]["job_id"])
        assert (await api.post("/v1/datasets/ds/estimate", json=body)).json()["data"]["warnings"] == []


class TestARetiredEmbedder:
    """None that ships is retired; the operator's file can say so of one."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        models = tmp_path / "models.toml"
        models.write_text(
            '[aliases."voyage/voyage-context-2"]\nmodel = "voyage/voyage-context-3"\nretired = "It was retired"\n'
        )
        return with_providers(settings, models_file=models)

    async def test_its_name_means_its_successor_and_the_answer_says_so(self, api: ApiClient) -> None:
        body = {"input": "An anchor holds a ship.", "model": "voyage/voyage-context-2"}
        answer = (await api.post("/v1/embeddings", json=body)).json()
        assert answer["model"] == "voyage/voyage-context-3"
        assert answer["warnings"] == ["It was retired; voyage/voyage-context-3 takes its place."]
        assert (await api.post("/v1/embeddings", json={"input": "An anchor."})).json()["warnings"] == []
        asked = {"embedding_model": "voyage/voyage-context-2", "documents": [{"text": TEXT}]}
        expected = (await api.post("/v1/datasets/new/estimate", json=asked)).json()["data"]
        assert expected["embedding_model"] == "voyage/voyage-context-3"
        assert expected["warnings"] == answer["warnings"]


@pytest.mark.parametrize("name", ["nothing", "nowhere/model", "openai/", "/x", "builtin/lexical-1"])
async def test_an_unknown_model_is_refused_with_those_that_there_are(name: str, api: ApiClient) -> None:
    answer = await api.upload(TEXT, summary_llm=name)
    assert error_of(answer) == (422, "unknown_model")
    assert "gemini" in answer.json()["error"]["details"]["known"]


class TestADisabledModel:
    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        models = tmp_path / "models.toml"
        models.write_text('[chat."openai/gpt-6-luna"]\ndisabled = true\n')
        return with_providers(settings, models_file=models)

    @pytest.mark.parametrize("name", ["openai", "openai/gpt-6-luna"])
    async def test_it_is_refused_by_each_of_its_names(self, name: str, api: ApiClient) -> None:
        answer = await api.upload(TEXT, summary_llm=name, byok_openai_api_key="key")
        assert error_of(answer) == (422, "unknown_model")
        assert "switched off" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("model", "field", "param"),
    [
        ("deepseek/deepseek-v4-flash", "byok_deepseek_api_key", "temperature"),
        ("dashscope/qwen3.8-flash", "byok_dashscope_api_key", "seed"),
        ("gemini/gemini-3.5-flash-lite", "byok_gemini_api_key", "seed"),
        ("cohere/command-a-03-2025", "byok_cohere_api_key", "temperature"),
        ("azure/our-model", "byok_azure_openai", "max_tokens"),
    ],
)
async def test_a_parameter_that_a_model_refuses_is_left_out_from_then_on(
    model: str,
    field: str,
    param: str,
    api: ApiClient,
    provider: RunningFakeProvider,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.llm.openai_compatible._refused", {})
    provider.faults({"kind": "unsupported_parameter", "param": param, "count": None, "endpoint": "chat"})
    keys = {"X-" + field.replace("_", "-"): "key"}
    with caplog.at_level(logging.WARNING):
        # Different texts: of two summaries that say the same the fake model makes one that repeats itself.
        for name, topics in (("one", ("anchors", "bread", "bees")), ("two", ("glaciers", "clocks", "salt"))):
            text = "\n".join(page(topic, 1) for topic in topics)
            answer = await api.upload(text, name=f"{name}.md", summary_llm=model, headers=keys)
            assert answer.status_code == 200, answer.text
    summaries = await summaries_of(api)
    assert {node["meta"]["summary_kind"] for node in summaries} == {"abstractive"}
    assert provider.stats()["by_fault"] == {"unsupported_parameter": 1}
    assert len([record for record in caplog.records if "refuses a parameter" in record.message]) == 1


@pytest.mark.parametrize(
    ("url", "allow_private", "allowed"),
    [
        ("https://93.184.216.34/v1", False, True),
        ("http://93.184.216.34/v1", False, False),
        ("http://127.0.0.1:11434/v1", False, False),
        ("http://127.0.0.1:11434/v1", True, True),
        ("http://[::1]:8000/v1", False, False),
        ("http://[::ffff:127.0.0.1]/v1", False, False),
        ("http://169.254.169.254/latest", False, False),
        ("https://10.0.0.8/v1", False, False),
        ("https://2130706433/v1", False, False),
        ("https://user:secret@93.184.216.34/v1", False, False),
        ("https://93.184.216.34/v1?key=x", False, False),
        ("file:///etc/passwd", True, False),
        ("gopher://93.184.216.34/", True, False),
        ("localhost:11434", True, False),
        ("", True, False),
    ],
)
def test_where_calls_may_go(url: str, allow_private: bool, allowed: bool) -> None:
    if allowed:
        assert checked_base_url(url, allow_private=allow_private) == url
    else:
        with pytest.raises(BaseUrlRefused):
            checked_base_url(url, allow_private=allow_private)


@pytest.mark.parametrize("override", ["localhost:8100", "http://localhost:8100/v1", "ftp://host", "http://u@host"])
def test_the_override_is_an_origin(override: str, settings: Settings) -> None:
    with pytest.raises(SettingsError):
        check_providers(settings.providers.model_copy(update={"provider_base_url_override": override}))


@pytest.mark.parametrize(
    "url", ["https://someone:secret-word@93.184.216.34/v1", "https://93.184.216.34/v1?key=secret-word"]
)
def test_a_key_in_an_address_is_not_repeated(url: str) -> None:
    with pytest.raises(BaseUrlRefused) as refused:
        checked_base_url(url, allow_private=False)
    assert "secret-word" not in str(refused.value)
    assert "set the key separately" in str(refused.value)
