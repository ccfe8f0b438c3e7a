"""What a provider does wrong, and what becomes of the build: `bench/fault_matrix.py` says for each fault which error
the job has, how many calls it costs, and that nothing is paid twice. All run side by side, each on its own key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.settings import Settings
from bench.fault_matrix import FAULTS, MODELS_FILE, TREE, Bench, Endpoint, Fault, as_expected
from infra.fake_provider import RunningFakeProvider
from tests.client import ApiClient
from tests.providers.conftest import with_providers

pytestmark = [pytest.mark.usefixtures("running"), pytest.mark.timeout(240)]


# One of each way to fail; `python -m bench.faults` runs all.
SUBSET = {
    "429, Retry-After: 2",
    "429, Retry-After: 86400",
    "429 insufficient_quota",
    "401",
    "404, the model is gone",
    "503",
    "connection reset halfway",
    "no byte",
    "one byte a second",
    "HTML with 200",
    "gzip bomb",
    "500 on every attempt",
    "fewer vectors",
    "reordered, right index",
    "index from 1",
    "wrong dimension",
    "nan in a vector",
    "a vector of zeros",
    "empty",
    "refusal as text",
    "goes round in circles",
    "invented names and numbers",
    "context length exceeded",
    "prompt filtered",
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS_FILE)
    keyless = with_providers(
        settings, voyage_api_key=None, deepseek_api_key=None, models_file=models, provider_timeout_seconds=5.0
    )
    return keyless.model_copy(
        update={
            "default_embedder": None,
            "default_summary_llm": None,
            "tree": keyless.tree.model_copy(update=TREE),
        }
    )


@pytest.fixture
def bench(api: ApiClient, provider: RunningFakeProvider) -> Bench:
    return Bench(api.http, provider)


@pytest.mark.parametrize("endpoint", ["chat", "contextualized", "embeddings"])
async def test_a_fault_costs_what_it_has_to_and_the_build_ends_well(endpoint: Endpoint, bench: Bench) -> None:
    clean = await bench.clean(endpoint)
    cases = [fault for fault in FAULTS if endpoint in fault.endpoints and fault.name in SUBSET]

    async def one(number: int, fault: Fault) -> list[str]:
        seen = await bench.run(
            f"{endpoint[:4]}-{number:03d}", endpoint, fault, (1, clean // 2, clean - (endpoint != "chat"))[number % 3]
        )
        return [f"{fault.name}: {wrong}" for wrong in as_expected(fault, seen, clean, endpoint)]

    outcomes = await asyncio.gather(*(one(number, fault) for number, fault in enumerate(cases, 1)))
    assert [wrong for outcome in outcomes for wrong in outcome] == []
