"""Webhooks: who is told of what, how it is signed, tried again and listed, and where nothing is ever sent."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook as Signature

from app.container import Container
from app.settings import Settings
from infra import webhooks as wire
from infra.webhooks import SignedSender, is_public, signed
from interfaces_adaptor.repositories.webhooks import StoredWebhooks
from services.errors import DatabaseUnavailable
from services.webhooks import MOST_ATTEMPTS, Delivery, DueDelivery, Outcome, body_of, pause_after
from tests.client import ApiClient, error_of
from tests.conftest import api_client
from tests.factories import page

Message = tuple[dict[str, str], bytes]


@dataclass
class Receiver:
    """An address that events are posted to; `answer` says what it answers to the n-th, from 0."""

    answer: Callable[[int], bytes] = lambda _n: b"HTTP/1.1 204 No Content\r\n\r\n"
    url: str = ""
    messages: list[Message] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.messages.append((headers, body))
        writer.write(self.answer(len(self.messages) - 1))
        await writer.drain()
        writer.close()

    async def told(self, count: int, seconds: float = 30) -> list[Message]:
        async with asyncio.timeout(seconds):
            while len(self.messages) < count:
                await asyncio.sleep(0.05)
        return self.messages


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    listening = Receiver()
    server = await asyncio.start_server(listening.serve, "127.0.0.1", 0)
    listening.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
    yield listening
    server.close()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Where the operator lets events go to this machine, and pauses are short."""
    quick = settings.webhooks.model_copy(update={"allow_private": True, "retry_seconds": 0.01})
    return settings.model_copy(update={"webhooks": quick})


async def added(api: ApiClient, url: str, **options: Any) -> dict[str, Any]:
    answer = await api.post("/v1/webhooks", json={"url": url, **options})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


async def deliveries(api: ApiClient, webhook: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    return list((await api.data(f"/v1/webhooks/{webhook['webhook_id']}/deliveries", **params))["items"])


async def ended(api: ApiClient, webhook: dict[str, Any], count: int, seconds: float = 30) -> list[dict[str, Any]]:
    async with asyncio.timeout(seconds):
        while True:
            found = await deliveries(api, webhook)
            if len(found) >= count and all(one["status"] != "pending" for one in found):
                return found
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("running")
async def test_the_end_of_jobs_and_a_live_tree_are_told_and_signed(api: ApiClient, receiver: Receiver) -> None:
    webhook = await added(api, receiver.url)

    job = (await api.ingest(page("bees"), doc_id="bees"))["job_id"]

    told = {}
    for headers, body in await receiver.told(3):
        message = Signature(webhook["secret"]).verify(body, headers)
        assert datetime.fromisoformat(message["timestamp"]) <= datetime.now(UTC)
        told[message["type"], message["data"].get("job_type")] = message["data"]
    assert set(told) == {("job.ended", "ingest"), ("job.ended", "build"), ("tree.live", None)}
    ingest = told["job.ended", "ingest"]
    assert (ingest["job_id"], ingest["status"], ingest["doc_id"]) == (job, "succeeded", "bees")
    live = await api.data("/v1/datasets/ds")
    assert told["tree.live", None] == {
        "dataset_id": "ds", "generation": live["generation"], "tree_id": live["live_tree"]["tree_id"],
    }  # fmt: skip
    listed = await ended(api, webhook, 3)
    assert {one["status"] for one in listed} == {"delivered"}
    assert {one["message_id"] for one in listed} == {headers["webhook-id"] for headers, _ in receiver.messages}
    assert {(one["attempts"], one["response_status"], one["error"]) for one in listed} == {(1, 204, None)}


async def test_a_cancelled_job_has_ended_too_and_what_is_rolled_back_is_not_told(
    api: ApiClient, container: Container, receiver: Receiver
) -> None:
    webhook = await added(api, receiver.url)
    job = (await api.submit(page("bees")))["job_id"]
    async with container.engine.connect() as connection:
        await connection.execute(text("update jobs set status = 'failed'"))
        await connection.rollback()
    assert await deliveries(api, webhook) == []

    await api.post(f"/v1/jobs/{job}/cancel")
    await api.post(f"/v1/jobs/{job}/cancel")

    (told,) = await deliveries(api, webhook)
    assert (told["event"], told["data"]["status"], told["status"]) == ("job.ended", "cancelled", "pending")
    assert told["data"]["error"]["code"] == "cancelled"


async def test_only_what_was_asked_for_is_told(api: ApiClient, receiver: Receiver) -> None:
    trees = await added(api, receiver.url, events=["tree.live"])
    other = await added(api, receiver.url, dataset_id="other")
    both = await added(api, receiver.url, database_id="ds", events=["job.ended", "job.ended"])
    assert (both["dataset_id"], both["events"]) == ("ds", ["job.ended"])
    job = (await api.submit(page("bees")))["job_id"]
    await api.post(f"/v1/jobs/{job}/cancel")
    assert [len(await deliveries(api, one)) for one in (trees, other, both)] == [0, 0, 1]


@pytest.mark.usefixtures("running")
async def test_what_fails_is_tried_again_with_the_same_id(api: ApiClient, receiver: Receiver) -> None:
    receiver.answer = lambda n: (
        b"HTTP/1.1 503 Busy\r\n\r\n" if n < 2 else b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    )
    webhook = await added(api, receiver.url, events=["tree.live"])
    await api.ingest(page("bees"))

    await receiver.told(3)

    (told,) = await ended(api, webhook, 1)
    assert (told["status"], told["attempts"], told["response_status"]) == ("delivered", 3, 200)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    assert len({body for _, body in receiver.messages}) == 1
    for headers, body in receiver.messages:
        Signature(webhook["secret"]).verify(body, headers)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "redirects"),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "410"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "Protocol"),
        (b"", "Protocol"),
    ],
)
async def test_what_never_succeeds_ends_as_failed_and_says_why(
    api: ApiClient, receiver: Receiver, answer: bytes, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.LONGEST", 1.0)
    receiver.answer = lambda _n: answer
    webhook = await added(api, receiver.url, events=["tree.live"])
    await api.ingest(page("bees"))

    (told,) = await ended(api, webhook, 1)

    attempts = 1 if b"410" in answer else MOST_ATTEMPTS
    assert (told["status"], told["attempts"]) == ("failed", attempts)
    assert error in told["error"]
    assert told["ended_at"] is not None
    assert told["next_attempt_at"] is None
    assert len(receiver.messages) == attempts
    assert await deliveries(api, webhook, status="delivered") == []


@pytest.mark.usefixtures("running")
async def test_an_address_that_does_not_answer_holds_up_itself_alone(api: ApiClient, receiver: Receiver) -> None:
    begun: list[asyncio.Task[Any] | None] = []
    released = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(asyncio.current_task())
        await released.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        slow = await added(api, f"http://127.0.0.1:{port}/", events=["job.ended"])
        await added(api, receiver.url, events=["job.ended"])
        for number in range(12):
            job = (await api.submit(page("bees"), dataset=f"d{number}"))["job_id"]
            await api.post(f"/v1/jobs/{job}/cancel")
        await receiver.told(12)
        await api.ingest(page("salt"), name="salt.md", dataset="other")
        assert len(begun) <= 2  # a second one only where the first ran into its time limit meanwhile
        await api.delete(f"/v1/webhooks/{slow['webhook_id']}")
        released.set()
        await asyncio.gather(*(task for task in begun if task is not None))


@pytest.mark.usefixtures("running")
async def test_a_delivery_outlives_a_database_that_does_not_answer(
    api: ApiClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_delivery, failed = StoredWebhooks.due_delivery, 0

    async def at_last(self: StoredWebhooks, delivery_id: UUID) -> DueDelivery | None:
        nonlocal failed
        if failed < 2:
            failed += 1
            raise DatabaseUnavailable
        return await due_delivery(self, delivery_id)

    monkeypatch.setattr("interfaces_adaptor.jobs.queue.RETRY_PAUSE_S", 0.01)
    monkeypatch.setattr(StoredWebhooks, "due_delivery", at_last)
    webhook = await added(api, receiver.url, events=["job.ended"])
    job = (await api.submit(page("bees")))["job_id"]
    await api.post(f"/v1/jobs/{job}/cancel")
    (told,) = await ended(api, webhook, 1)
    assert (told["status"], told["attempts"], failed) == ("delivered", 1, 2)


def test_pauses_grow_and_end() -> None:
    failed = Outcome(status=500, error="HTTP 500")
    pauses = [pause_after(failed, attempts, 5.0) for attempts in range(1, MOST_ATTEMPTS)]
    for pause, expected in zip(pauses, [5, 30, 180, 1080, 6480, 38880, 38880, 38880], strict=True):
        assert pause is not None
        assert 0.8 * expected <= pause <= 1.2 * expected
    assert pause_after(failed, MOST_ATTEMPTS, 5.0) is None
    assert pause_after(Outcome(status=204), 1, 5.0) is None


async def test_the_answer_is_neither_waited_for_nor_read_without_end(receiver: Receiver) -> None:
    secret = "whsec_plJ3nmyCDGBKInavdOK15jsl"

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await writer.drain()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()

    sender = SignedSender(allow_private=True, timeout_s=0.5)
    for handler, expected in ((endless, (200, None)), (silent, (None, "no answer within 0.5 s"))):
        async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            outcome = await sender.send(f"http://127.0.0.1:{port}/", secret, "msg_1", "{}")
            assert (outcome.status, outcome.error) == expected
    nobody = await sender.send("http://127.0.0.1:1/", secret, "msg_1", "{}")
    assert nobody.status is None
    assert nobody.error is not None
    await sender.close()


async def test_a_connection_goes_to_public_addresses_only_whatever_a_name_said_before(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = SignedSender(allow_private=False)
    port = receiver.url.rpartition(":")[2].partition("/")[0]
    for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"):
        outcome = await sender.send(f"http://{host}:{port}/", "whsec_AAAA", "msg_1", "{}")
        assert outcome.status is None, host
        assert "private address" in str(outcome.error) or "no address" in str(outcome.error), host

    async def rebound(_host: str, _port: int) -> list[Any]:
        return [ipaddress.ip_address("93.184.215.14"), ipaddress.ip_address("127.0.0.1")]

    monkeypatch.setattr(wire, "addresses_of", rebound)
    outcome = await sender.send(f"http://looks.fine.example:{port}/", "whsec_AAAA", "msg_1", "{}")
    assert "private address" in str(outcome.error)
    assert receiver.messages == []
    await sender.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_signatures_are_those_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    headers = signed(
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        "msg_loFOjxBNrRLzqYUf",
        datetime.fromtimestamp(1731705121, UTC),
        '{"event_type":"ping","data":{"success":true}}',
    )
    assert headers["webhook-signature"] == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="
    assert headers["webhook-timestamp"] == "1731705121"


async def test_the_secret_is_shown_once_and_stored_sealed(
    api: ApiClient, container: Container, receiver: Receiver
) -> None:
    made = await added(api, receiver.url)
    assert made["secret"].startswith("whsec_")
    (listed,) = (await api.data("/v1/webhooks"))["items"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    async with container.engine.connect() as connection:
        stored = await connection.scalar(text("select secret from webhooks"))
    assert made["secret"].encode() not in stored
    assert made["secret"].removeprefix("whsec_").encode() not in stored


async def test_a_deleted_webhook_is_told_nothing_more(api: ApiClient, receiver: Receiver) -> None:
    webhook = await added(api, receiver.url)
    job = (await api.submit(page("bees")))["job_id"]
    assert (await api.delete(f"/v1/webhooks/{webhook['webhook_id']}")).status_code == 204
    await api.post(f"/v1/jobs/{job}/cancel")
    assert (await api.data("/v1/webhooks"))["items"] == []
    for gone in (
        await api.delete(f"/v1/webhooks/{webhook['webhook_id']}"),
        await api.get(f"/v1/webhooks/{webhook['webhook_id']}/deliveries"),
    ):
        assert error_of(gone) == (404, "webhook_not_found")


async def test_webhooks_and_deliveries_come_in_pages(api: ApiClient, receiver: Receiver) -> None:
    made = [(await added(api, f"{receiver.url}/{number}"))["url"] for number in range(3)]
    first = await api.data("/v1/webhooks", limit=2)
    second = await api.data("/v1/webhooks", limit=2, cursor=first["next_cursor"])
    assert [one["url"] for one in (*first["items"], *second["items"])] == made

    for number in range(3):
        job = (await api.submit(page("bees"), doc_id=f"d{number}"))["job_id"]
        await api.post(f"/v1/jobs/{job}/cancel")
    path = f"/v1/webhooks/{first['items'][0]['webhook_id']}/deliveries"
    newest = await api.data(path, limit=2)
    oldest = await api.data(path, limit=2, cursor=newest["next_cursor"])
    seen = [one["data"]["doc_id"] for one in (*newest["items"], *oldest["items"])]
    assert seen == ["d2", "d1", "d0"]


async def test_another_tenants_webhooks_are_neither_seen_nor_told(container: Container, receiver: Receiver) -> None:
    keys = [await container.access.create(tenant, "test") for tenant in ("one", "two")]
    async with (
        api_client(container, authorization=f"Bearer {keys[0]}") as one,
        api_client(container, authorization=f"Bearer {keys[1]}") as two,
    ):
        webhook = await added(one, receiver.url)
        job = (await two.submit(page("bees")))["job_id"]
        await two.post(f"/v1/jobs/{job}/cancel")
        assert await deliveries(one, webhook) == []
        assert (await two.data("/v1/webhooks"))["items"] == []
        path = f"/v1/webhooks/{webhook['webhook_id']}"
        assert error_of(await two.get(f"{path}/deliveries")) == (404, "webhook_not_found")
        assert error_of(await two.delete(path)) == (404, "webhook_not_found")


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com/x", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x",
        "https://user:password@example.com/", "https://exa mple.com/", "https://example.com/\n", "https://[::1",
        "https://example.com:99999/", "https://no-such-name.invalid/",
    ],
)  # fmt: skip
async def test_what_is_no_address_for_events_is_refused(api: ApiClient, url: str) -> None:
    refused = await api.post("/v1/webhooks", json={"url": url})
    assert error_of(refused) == (422, "webhook_url_refused")


class TestWithoutTheOperatorsLeave:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        strict = settings.webhooks.model_copy(update={"allow_private": False})
        return settings.model_copy(update={"webhooks": strict})

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/", "https://0x7f.1/",
        ],
    )  # fmt: skip
    async def test_private_addresses_are_refused(self, api: ApiClient, url: str) -> None:
        assert error_of(await api.post("/v1/webhooks", json={"url": url})) == (422, "webhook_url_refused")

    async def test_a_name_that_leads_to_a_private_address_is_refused(
        self, api: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def private(_host: str, _port: int) -> list[Any]:
            return [ipaddress.ip_address("10.0.0.7")]

        monkeypatch.setattr(wire, "addresses_of", private)
        refused = await api.post("/v1/webhooks", json={"url": "https://intranet.example/"})
        assert error_of(refused) == (422, "webhook_url_refused")
        assert "RAPTOR_WEBHOOK_ALLOW_PRIVATE" in refused.json()["error"]["message"]


@pytest.mark.usefixtures("running")
async def test_a_secret_that_was_moved_to_another_webhook_opens_nothing(
    api: ApiClient, container: Container, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.LONGEST", 1.0)
    first, second = (
        await added(api, receiver.url, events=["tree.live"]),
        await added(api, receiver.url, events=["tree.live"]),
    )
    async with container.engine.begin() as connection:
        await connection.execute(
            text("update webhooks w set secret = o.secret from webhooks o where o.webhook_id <> w.webhook_id")
        )
    await api.ingest(page("bees"))
    for webhook in (first, second):
        (told,) = await ended(api, webhook, 1)
        assert (told["status"], told["response_status"]) == ("failed", None)
        assert "RAPTOR_SECRET_KEY" in told["error"]
    assert receiver.messages == []


async def test_a_tenant_has_so_many_webhooks_at_most(
    api: ApiClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.MOST_WEBHOOKS", 2)
    for _ in range(2):
        await added(api, receiver.url)
    assert error_of(await api.post("/v1/webhooks", json={"url": receiver.url})) == (422, "validation_error")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"url": "https://example.com", "events": []}, {"url": "https://example.com", "events": ["job.started"]},
        {"url": "https://example.com", "secret": "mine"}, {"url": "https://example.com", "dataset_id": "a b"},
    ],
)  # fmt: skip
async def test_a_webhook_that_cannot_be_is_refused(api: ApiClient, body: dict[str, Any]) -> None:
    assert error_of(await api.post("/v1/webhooks", json=body)) == (422, "validation_error")


async def test_a_deleted_dataset_takes_along_what_was_told_of_it(api: ApiClient, receiver: Receiver) -> None:
    webhook = await added(api, receiver.url)
    for dataset in ("ds", "kept"):
        job = (await api.submit(page("bees"), dataset=dataset))["job_id"]
        await api.post(f"/v1/jobs/{job}/cancel")
    await api.delete("/v1/datasets/ds")
    assert [one["data"]["dataset_id"] for one in await deliveries(api, webhook)] == ["kept"]


def test_a_message_is_whole_json() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    delivery = Delivery(uuid4(), "tree.live", {"dataset_id": "żółw"}, "pending", 0, None, None, now, None, None)
    assert json.loads(body_of(delivery)) == {
        "type": "tree.live", "timestamp": "2026-01-02T03:04:05+00:00", "data": {"dataset_id": "żółw"},
    }  # fmt: skip
