"""Kill -9 of a worker in the middle of a build or a mending: what was paid and stored is never paid again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from fake_provider import RunningFakeProvider, running_fake_provider
from infra.compute import ProcessPool
from tests.client import ApiClient
from tests.conftest import running_worker
from tests.providers.conftest import OPERATOR, summaries_of, with_providers
from tests.providers.fault_matrix import TREE, document, models_file
from tests.worker_processes import give_up_dead_workers, worker_process

# The worker is killed when so many calls and one more have come in: the first has been answered and stored.
AT_ONCE = {"chat": 2, "contextualized": 4}


@pytest.fixture
def provider() -> Iterator[RunningFakeProvider]:
    with running_fake_provider(latency_s=0.2) as provider:
        yield provider


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(models_file(chat=AT_ONCE["chat"], embed=AT_ONCE["contextualized"]))
    return path


@pytest.fixture
def settings(settings: Settings, models: Path) -> Settings:
    chosen = with_providers(settings, models_file=models, provider_timeout_seconds=60.0)
    return chosen.model_copy(update={"tree": chosen.tree.model_copy(update=TREE)})


def environment(provider: RunningFakeProvider, models: Path) -> dict[str, str]:
    """The settings of these tests for a worker of its own."""
    return {
        "RAPTOR_MODELS_FILE": str(models),
        "RAPTOR_PROVIDER_BASE_URL_OVERRIDE": provider.url,
        "RAPTOR_DEFAULT_EMBEDDER": "voyage/voyage-context-3",
        "RAPTOR_DEFAULT_SUMMARY_LLM": "deepseek_v3",
        **{f"RAPTOR_{name.upper()}": key for name, key in OPERATOR.items()},
        **{f"RAPTOR_TREE_{name.upper()}": str(value) for name, value in TREE.items()},
    }


async def killed_after(
    calls: int, endpoint: str, database_url: str, provider: RunningFakeProvider, models: Path
) -> None:
    """A worker from its start until so many calls have come in."""
    async with worker_process(database_url, "never", **environment(provider, models)) as worker:
        async with asyncio.timeout(60):
            while sum(call["endpoint"] == endpoint for call in await asyncio.to_thread(provider.calls)) < calls:
                await asyncio.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    await give_up_dead_workers(database_url)


@pytest.mark.parametrize("endpoint", ["contextualized", "chat"])
async def test_at_most_the_calls_in_flight_are_paid_again(
    endpoint: str,
    api: ApiClient,
    settings: Settings,
    models: Path,
    database_url: str,
    pool: ProcessPool,
    provider: RunningFakeProvider,
) -> None:
    sent = await api.submit(document("kill-01"), chunk_size="300", chunk_overlap="0")
    await killed_after(AT_ONCE[endpoint] + 1, endpoint, database_url, provider, models)
    async with running_worker(settings, database_url, pool):
        assert (await api.finished(sent["job_id"]))["status"] == "succeeded"
    # One attempt was killed, and one went on: none was made beside another.
    assert sorted(job["attempts"] for job in (await api.data("/v1/jobs"))["items"]) == [1, 2]
    assert provider.stats()["repeated"] <= AT_ONCE[endpoint]


async def test_a_mending_goes_on_and_pays_again_for_what_was_in_flight_alone(
    api: ApiClient,
    settings: Settings,
    models: Path,
    database_url: str,
    pool: ProcessPool,
    provider: RunningFakeProvider,
) -> None:
    provider.faults({"kind": "refusal", "endpoint": "chat", "count": None})
    async with running_worker(settings, database_url, pool):
        await api.ingest(document("kill-02"), chunk_size="300", chunk_overlap="0")
    broken = await api.data("/v1/datasets/ds/tree", limit=500)
    written = await summaries_of(api)
    assert broken["stats"]["degraded"] == len(written) > 2 * AT_ONCE["chat"]
    provider.reset()

    started = await api.post("/v1/datasets/ds/retry-nodes")
    # By then several calls of a level that is not whole yet have been answered.
    await killed_after(3 * AT_ONCE["chat"], "chat", database_url, provider, models)
    assert await summaries_of(api) == written

    async with running_worker(settings, database_url, pool):
        job = await api.finished(started.json()["data"]["job_id"])
    assert (job["status"], job["result"]["mended"], job["result"]["degraded"]) == ("succeeded", len(written), 0)
    assert job["attempts"] == 2
    assert provider.stats()["repeated"] <= AT_ONCE["chat"]
    tree = await api.data("/v1/datasets/ds/tree", limit=500)
    assert tree["tree_id"] == job["result"]["tree_id"] != broken["tree_id"]
    mended = await summaries_of(api)
    assert [shape(node) for node in mended] == [shape(node) for node in written]
    assert {node["meta"]["summary_kind"] for node in mended} == {"abstractive"}
    ids = {node["node_id"] for node in tree["items"]}
    assert {child["node_id"] for node in mended for child in node["children"]} == ids - {tree["root_id"]}


def shape(node: dict[str, Any]) -> tuple[int, list[str], int]:
    """What a mending does not change."""
    return node["level"], [chunk["id"] for chunk in node["chunks"]], len(node["children"])
