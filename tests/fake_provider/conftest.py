"""How tests ask the fake provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from fake_provider import RunningFakeProvider
from tests.fake_provider.asking import Asked


@pytest.fixture
def post(provider: RunningFakeProvider) -> Iterator[Asked]:
    """POST a JSON body with a key; without one where it is empty."""
    with httpx2.Client(base_url=provider.url, trust_env=False) as client:

        def ask(path: str, body: Any, key: str = "some-key", **headers: str) -> httpx2.Response:
            return client.post(path, json=body, headers=({"Authorization": f"Bearer {key}"} if key else {}) | headers)

        yield ask


@pytest.fixture
def client(provider: RunningFakeProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="some-key", base_url=f"{provider.url}/v1", max_retries=0) as opened:
        yield opened
