"""The whole service with every provider at the fake one: real API, real worker, real database, real HTTP and SDKs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from app.settings import Settings
from fake_provider import RunningFakeProvider
from tests.client import ApiClient

OPERATOR = {"voyage_api_key": "vk-operator-key", "deepseek_api_key": "dk-operator-key"}


@pytest.fixture
def settings(settings: Settings, provider: RunningFakeProvider) -> Settings:
    """Voyage and DeepSeek, the operator's keys, as defaults; quick retries; a grouper that needs no compiling.

    The deadline of a call is one that a busy machine keeps too: a call that it ends is made, and paid, once more.
    """
    return with_providers(
        settings,
        provider_base_url_override=provider.url,
        provider_retry_seconds=0.01,
        provider_timeout_seconds=60.0,
        **{name: SecretStr(key) for name, key in OPERATOR.items()},
    ).model_copy(update={"default_embedder": "voyage/voyage-context-3", "default_summary_llm": "deepseek_v3"})


def with_providers(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(
        update={
            "providers": settings.providers.model_copy(update=changes),
            "tree": settings.tree.model_copy(update={"grouper": "contiguous"}),
        }
    )


async def summaries_of(api: ApiClient, dataset: str = "ds") -> list[dict[str, Any]]:
    """The written nodes of the live tree, each as a reader of the node sees it."""
    tree = await api.data(f"/v1/datasets/{dataset}/tree", limit=500)
    return [await api.data(f"/v1/nodes/{node['node_id']}") for node in tree["items"] if node["level"] > 0]
