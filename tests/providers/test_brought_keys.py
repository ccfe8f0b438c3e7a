"""Keys that callers bring: used for that work alone, sealed while a job needs them, then gone, and seen by nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from app.container import Container
from app.settings import Settings
from fake_provider import RunningFakeProvider
from fake_provider.calls import fingerprint
from interfaces_adaptor.http.keys import FIELDS
from tests.client import ApiClient, error_of
from tests.conftest import api_client
from tests.factories import TOPICS, handbook, page
from tests.providers.conftest import OPERATOR

CANARY = "canary-7f3a9c51e2d84b60"
TEXT = handbook(1)


async def stored(database_url: str, statement: str) -> Any:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def sealed(database_url: str) -> int:
    return int(await stored(database_url, "select count(*) from job_secrets"))


async def everything(database_url: str) -> str:
    """Every row of every table, the queue's too, as text."""
    connection = await asyncpg.connect(database_url)
    try:
        names = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        rows = [await connection.fetch(f"select t::text from {name} t") for (name,) in names]
        return "\n".join(str(row[0]) for table in rows for row in table)
    finally:
        await connection.close()


class Heard(logging.Handler):
    """Every line that anything logs, with all that it carries."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        plain = logging.Formatter().format(record)
        self.lines.append(f"{plain} {record.__dict__!r}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("as_header", [False, True], ids=["fields", "headers"])
async def test_a_key_of_each_provider_is_sealed_for_its_job(as_header: bool, api: ApiClient, database_url: str) -> None:
    keys: dict[str, Any] = {name: f"{CANARY}-{provider}" for name, provider in FIELDS.items()}
    if as_header:
        headers = {"X-BYOK-" + name.removeprefix("byok_").replace("_", "-"): key for name, key in keys.items()}
        answer = await api.upload(TEXT, headers={**headers, "Prefer": "respond-async"})
    else:
        answer = await api.upload(TEXT, headers={"Prefer": "respond-async"}, **keys)
    assert answer.status_code == 202, answer.text
    assert await sealed(database_url) == len(FIELDS)
    assert CANARY not in await everything(database_url)
    await api.post(f"/v1/jobs/{answer.json()['data']['job_id']}/cancel")
    assert await sealed(database_url) == 0


@pytest.mark.usefixtures("running")
async def test_a_brought_key_is_used_instead_of_the_operators_and_for_that_work_alone(
    api: ApiClient, provider: RunningFakeProvider, database_url: str
) -> None:
    brought: dict[str, Any] = {"byok_voyage_api_key": "my-voyage", "byok_deepseek_api_key": "my-deepseek"}
    await api.ingest(TEXT, **brought)
    await api.retrieve("honey", byok_voyage_api_key="my-voyage")
    assert set(provider.stats()["by_key"]) == {fingerprint("my-voyage"), fingerprint("my-deepseek")}
    assert await sealed(database_url) == 0

    provider.reset()
    await api.ingest(page("salt"), name="other.md", dataset="other")
    await api.retrieve("honey")
    assert set(provider.stats()["by_key"]) == {fingerprint(key) for key in OPERATOR.values()}


@pytest.mark.usefixtures("running")
async def test_a_key_is_erased_when_its_job_fails_and_another_one_takes_the_job_on(
    api: ApiClient, provider: RunningFakeProvider, database_url: str
) -> None:
    sent = await api.submit(TEXT, byok_voyage_api_key="my-voyage", byok_deepseek_api_key="bad-key")
    job = await api.finished(sent["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "provider_auth")
    assert await sealed(database_url) == 0

    again = await api.post(f"/v1/jobs/{sent['job_id']}/retry", headers={"X-BYOK-DeepSeek-Api-Key": "good-key"})
    assert (await api.finished(again.json()["data"]["job_id"]))["status"] == "succeeded"
    assert await sealed(database_url) == 0
    stats = provider.stats()
    assert stats["repeated"] == 0
    assert stats["by_key"][fingerprint("good-key")] >= 1


@pytest.mark.usefixtures("running")
async def test_a_key_is_in_no_log_no_answer_and_no_row_whatever_happens(
    api: ApiClient, provider: RunningFakeProvider, database_url: str, heard: Heard
) -> None:
    """Through a run that succeeds, questions, and refusals whose text repeats the key, as some providers' do."""
    keys: dict[str, Any] = {"byok_voyage_api_key": f"{CANARY}-v", "byok_deepseek_api_key": f"{CANARY}-d"}
    answers = [await api.upload(TEXT, **keys)]
    for status, endpoint in ((400, "chat"), (401, "chat"), (500, "contextualized"), (403, "contextualized")):
        echo = f"Incorrect key provided: {CANARY}-{'d' if endpoint == 'chat' else 'v'}"
        provider.faults({"kind": "status", "status": status, "message": echo, "endpoint": endpoint, "count": 5})
        answers.append(await api.upload(page("salt"), name=f"{status}.md", dataset=f"d{status}", **keys))
        answers.append(await api.get("/v1/jobs", params={"dataset_id": f"d{status}"}))
        provider.clear_faults()
    provider.faults({"kind": "status", "status": 400, "message": f"bad {CANARY}-v", "count": 3})
    answers.append(await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "honey", **keys}))
    answers.append(await api.post("/v1/retrieve", json={"dataset_id": "ds", **keys}))
    answers.append(await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "x", "top_k": "a", **keys}))
    answers.append(await api.upload(TEXT, name="wrong.txt", **keys))
    answers.append(await api.upload(TEXT, summary_llm="nothing/at-all", **keys))
    assert {answer.status_code for answer in answers} == {200, 400, 422, 502, 503}
    assert not [answer.text for answer in answers if CANARY in answer.text]
    assert CANARY not in await everything(database_url)
    assert not [line for line in heard.lines if CANARY in line]
    assert len(heard.lines) > 20


@pytest.mark.usefixtures("running")
async def test_two_tenants_who_ask_at_once_never_use_each_others_key(
    container: Container, provider: RunningFakeProvider
) -> None:
    keys = {name: await container.access.create(name, "test") for name in ("ours", "theirs")}
    clients = {name: api_client(container, Authorization=f"Bearer {secret}") for name, secret in keys.items()}
    async with clients["ours"] as ours, clients["theirs"] as theirs:
        for name, client in (("ours", ours), ("theirs", theirs)):
            await client.ingest(TEXT, byok_voyage_api_key=f"{name}-v", byok_deepseek_api_key=f"{name}-d")
        provider.reset()
        await asyncio.gather(
            *(
                client.retrieve(f"{topic} {number}", byok_voyage_api_key=f"{name}-v")
                for number, topic in enumerate(TOPICS)
                for name, client in (("ours", ours), ("theirs", theirs))
            )
        )
    assert provider.stats()["by_key"] == {fingerprint("ours-v"): len(TOPICS), fingerprint("theirs-v"): len(TOPICS)}


@pytest.mark.parametrize("key", ["", " ", "with space", "line\nbreak", "nul\0", "bell\x07", "schlüssel", "x" * 1001])
async def test_what_is_no_key_is_refused_without_being_repeated(key: str, api: ApiClient) -> None:
    for answer in (
        await api.upload(TEXT, byok_voyage_api_key=key),
        await api.post("/v1/retrieve", json={"dataset_id": "ds", "query": "x", "byok_voyage_api_key": key}),
    ):
        assert error_of(answer) == (422, "validation_error")
        assert "byok_voyage_api_key" in answer.text
        assert len(key) < 4 or key not in answer.text


async def test_a_header_and_a_field_that_differ_are_refused(api: ApiClient) -> None:
    answer = await api.upload(TEXT, byok_voyage_api_key="one", headers={"X-BYOK-Voyage-Api-Key": "two"})
    assert error_of(answer) == (422, "validation_error")


class TestWithoutKeys:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        keyless = settings.providers.model_copy(update={"voyage_api_key": None, "deepseek_api_key": None})
        return settings.model_copy(update={"providers": keyless})

    @pytest.mark.parametrize("brought", [{}, {"byok_voyage_api_key": "v"}, {"byok_deepseek_api_key": "d"}])
    async def test_a_missing_key_is_told_before_any_work(
        self, brought: dict[str, Any], api: ApiClient, database_url: str
    ) -> None:
        answer = await api.upload(TEXT, **brought)
        assert error_of(answer) == (422, "missing_provider_key")
        assert "byok_" in answer.json()["error"]["message"]
        assert await stored(database_url, "select count(*) from documents") == 0
