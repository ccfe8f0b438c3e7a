"""What a provider does wrong, and what becomes of the build: a handful of the faults of
`tests/providers/fault_matrix.py`, each on a call in the middle of a build. Of each it is known what the job's error is,
how many calls it takes, and that nothing is paid twice. `python -m bench.faults --matrix` tries all of them, on the
first, a middle and the last call.

Nothing here depends on how fast the machine is: no fault is one of time, and which call is struck follows from the
number that an undisturbed build of the same text makes, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.container import Container
from app.settings import Settings
from fake_provider import RunningFakeProvider, running_fake_provider
from tests.client import ApiClient
from tests.providers.conftest import with_providers
from tests.providers.fault_matrix import FAULTS, TREE, Bench, Endpoint, as_expected, models_file, places

pytestmark = [pytest.mark.usefixtures("running"), pytest.mark.timeout(300)]

HANDFUL = {
    "429, Retry-After: 2",
    "429, Retry-After: 86400",
    "429 insufficient_quota",
    "401",
    "connection closed",
    "connection reset halfway",
    "truncated JSON",
    "text/plain, but a right answer",
    "500 on every attempt",
    "400, refused",
    "fewer vectors",
    "reordered, right index",
    "wrong dimension",
    "nan in a vector",
    "1e39 in a vector",
    "a vector of zeros",
    "refusal as text",
}
AT_ONCE = 4
FAULT_OF = {fault.name: fault for fault in FAULTS if "embeddings" in fault.endpoints}


@pytest.fixture(scope="module")
def served() -> Iterator[RunningFakeProvider]:
    """Slow enough that calls which are sent together are under way together."""
    with running_fake_provider(latency_s=0.05) as provider:
        yield provider


@pytest.fixture
def calls_at_a_time() -> int:
    return 1


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, calls_at_a_time: int) -> Settings:
    """Only keys that are brought; and deadlines that a busy machine does not meet either."""
    models = tmp_path / "models.toml"
    models.write_text(models_file(chat=1, embed=calls_at_a_time))
    chosen = with_providers(
        settings, voyage_api_key=None, deepseek_api_key=None, models_file=models, provider_timeout_seconds=60.0
    )
    return chosen.model_copy(
        update={
            "default_embedder": None,
            "default_summary_llm": None,
            "tree": chosen.tree.model_copy(update=TREE),
            "worker": chosen.worker.model_copy(update={"dead_after_seconds": 120.0}),
        }
    )


@pytest.fixture
def bench(api: ApiClient, container: Container, provider: RunningFakeProvider) -> Bench:
    return Bench(api.http, container.access, provider)


@pytest.mark.parametrize("endpoint", ["chat", "contextualized", "embeddings"])
async def test_a_fault_costs_what_it_has_to_and_the_build_ends_well(endpoint: Endpoint, bench: Bench) -> None:
    clean = await bench.clean(endpoint)
    middle = places(clean)[1]
    slots = asyncio.Semaphore(AT_ONCE)
    cases = [fault for fault in FAULTS if endpoint in fault.endpoints and fault.name in HANDFUL]

    async def differences(number: int) -> list[str]:
        async with slots:
            seen = await bench.run(f"{endpoint}-{number}", endpoint, cases[number], middle)
        return as_expected(cases[number], seen, clean)

    outcomes = await asyncio.gather(*map(differences, range(len(cases))))
    assert {fault.name: wrong for fault, wrong in zip(cases, outcomes, strict=True) if wrong} == {}


class TestCallsBesideOneThatFails:
    @pytest.fixture
    def calls_at_a_time(self) -> int:
        return 4

    @pytest.mark.parametrize("endpoint", ["contextualized", "embeddings"])
    async def test_what_they_bring_is_kept(self, endpoint: Endpoint, bench: Bench) -> None:
        """The vectors of the lowest summaries take three calls, all under way when one of them is refused."""
        clean = await bench.clean(endpoint)
        refused = FAULT_OF["401"]
        seen = await bench.run("refused", endpoint, refused, places(clean)[1])
        assert as_expected(refused, seen, clean) == []


async def test_an_answer_that_breaks_off_is_told_to_the_log_and_nowhere_else(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    """Voyage's SDK writes to standard error what it has of such an answer."""
    await bench.run("reset", "contextualized", FAULT_OF["connection reset halfway"], 1)
    assert "body=" not in capfd.readouterr().err
