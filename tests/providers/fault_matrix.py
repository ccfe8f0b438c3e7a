"""Every failure of a provider, what the service has to make of it, and how one is tried: a build of which the fake
provider lets one call go wrong.

All cases build the same text with the same parameters, each for a tenant of its own and on keys of its own: nothing
that one has paid for or learnt of its limits is another's, and all make the same calls in the same order. The cases are
data; `python -m bench.faults` runs them.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2

from fake_provider import RunningFakeProvider
from fake_provider.faults import KINDS
from services.access import ApiKeys

Endpoint = Literal["chat", "contextualized", "embeddings"]
TERMINAL = {"succeeded", "failed", "cancelled"}
ATTEMPTS = 5  # the default of RAPTOR_PROVIDER_ATTEMPTS
UNAVAILABLE = "embedding_service_unavailable"
DATASET = "volumes"

TREE = {"grouper": "contiguous", "token_budget": 220, "summary_tokens": 60}


def models_file(chat: int = 16, embed: int = 4) -> str:
    """Windows and batches of a few chunks, so that a small document takes several calls, so many `chat` and `embed` at
    a time. Of the keys that a case brings, the embedder follows: Voyage's contextual one, or OpenAI's."""
    return f"""
[defaults]
embedders = ["voyage/voyage-context-3", "openai/text-embedding-3-small"]
[embedders."voyage/voyage-context-3"]
window = 260
batch = 3
concurrency = {embed}
[embedders."openai/text-embedding-3-small"]
batch = 3
concurrency = {embed}
[chat."deepseek/deepseek-v4-flash"]
concurrency = {chat}
[chat."openai/gpt-6-luna"]
concurrency = {chat}
[providers.voyage]
start = 0
"""


class NothingMeasured(AssertionError):
    """The fault was not struck as it was meant to be: the case says nothing about the service."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`rule` as the fake provider takes it. `extra` calls follow on the one that goes wrong; `code` is the error of a
    job that ends by it, and then is retried; `degraded` nodes are written without their model; `repeated` calls had
    been answered usably, though too late."""

    name: str
    rule: Mapping[str, Any]
    extra: int = 1
    code: str | None = None
    degraded: int = 0
    repeated: int = 0
    pauses_s: float = 0.0
    endpoints: tuple[Endpoint, ...] = ("chat", "contextualized", "embeddings")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a case came to: the error that its job ended with first, the degraded nodes of its tree, its wall time, and
    its calls to the endpoint, the first one first."""

    error: Mapping[str, Any]
    degraded: int
    seconds: float
    calls: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def code(self) -> str | None:
        return self.error.get("code")

    @property
    def struck(self) -> list[Mapping[str, Any]]:
        return [call for call in self.calls if call["fault"] is not None]

    @property
    def repeated(self) -> int:
        """Calls for what had been answered usably, to this case, before."""
        answered: set[str] = set()
        count = 0
        for call in self.calls:
            count += call["prompt"] in answered
            if usable(call):
                answered.add(call["prompt"])
        return count

    @property
    def texts(self) -> int:
        """Texts in the calls that were answered usably: however they are put together into requests, each text that is
        embedded twice is counted twice."""
        return sum(call["texts"] for call in self.calls if usable(call))


def usable(call: Mapping[str, Any]) -> bool:
    return call["status"] == 200 and (call["fault"] is None or KINDS[call["fault"]].usable)


def places(clean: Seen) -> tuple[int, int, int]:
    """The numbers of the first, a middle and the last call of an undisturbed build. The middle one of the embeddings is
    the second of the three that the lowest summaries take: what the first one brought must not be lost."""
    count = len(clean.calls)
    return 1, -(-3 * count // 4), count


def status(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": number, **more}


EMBEDDING: tuple[Endpoint, ...] = ("contextualized", "embeddings")
CHAT: tuple[Endpoint, ...] = ("chat",)

FAULTS: tuple[Fault, ...] = (
    Fault("429, Retry-After: 2", status(429, retry_after=2), pauses_s=2.0),
    Fault("429, Retry-After: a date", status(429, retry_after=2, retry_after_as="date"), pauses_s=1.0),
    Fault("429 without Retry-After", status(429), pauses_s=2.0),
    Fault("429, Retry-After: 86400", status(429, retry_after=86400), code="provider_error", endpoints=CHAT),
    Fault("429, Retry-After: 86400", status(429, retry_after=86400), code=UNAVAILABLE, endpoints=EMBEDDING),
    Fault("429 insufficient_quota", {"kind": "insufficient_quota"}, code="provider_quota"),
    Fault("401", status(401), code="provider_auth"),
    Fault("402", status(402), code="provider_quota"),
    Fault("403", status(403), code="provider_auth"),
    Fault("404, the model is gone", {"kind": "model_not_found"}, code="provider_error"),
    *(Fault(str(number), status(number)) for number in (500, 501, 502, 503, 529)),
    Fault("connection closed", {"kind": "refuse_connection"}),
    Fault("connection reset halfway", {"kind": "reset"}),
    Fault("no byte", {"kind": "hang", "seconds": 60}),
    Fault("half of it, then nothing", {"kind": "hang_midway", "seconds": 60}),
    Fault("one byte a second", {"kind": "slow", "bytes_per_second": 1}, repeated=1),
    Fault("right, but after the deadline", {"kind": "late_success", "seconds": 60}, repeated=1),
    Fault("truncated JSON", {"kind": "truncated_json"}),
    Fault("invalid JSON", {"kind": "invalid_json"}),
    Fault("HTML with 200", {"kind": "html"}),
    Fault("text/plain, but a right answer", {"kind": "wrong_content_type"}, extra=0, endpoints=("chat", "embeddings")),
    # Voyage's SDK takes it for a text, and no numbers are in it: it is asked for, and paid, once more.
    Fault("text/plain, but a right answer", {"kind": "wrong_content_type"}, repeated=1, endpoints=("contextualized",)),
    Fault("50 MB", {"kind": "huge_body"}),
    Fault("gzip bomb", {"kind": "gzip_bomb"}),
    Fault("500 on every attempt", status(500, count=ATTEMPTS), extra=ATTEMPTS, code=UNAVAILABLE, endpoints=EMBEDDING),
    Fault("500 on every attempt", status(500, count=ATTEMPTS), extra=ATTEMPTS - 1, degraded=1, endpoints=CHAT),
    Fault("400, refused", status(400), code="provider_error", endpoints=EMBEDDING),
    Fault("400, refused", status(400), extra=0, degraded=1, endpoints=CHAT),
    Fault("fewer vectors", {"kind": "fewer"}, endpoints=EMBEDDING),
    Fault("more vectors", {"kind": "more"}, endpoints=EMBEDDING),
    Fault("reordered, right index", {"kind": "reordered"}, extra=0, endpoints=EMBEDDING),
    Fault("index from 1", {"kind": "reordered_wrong_index"}, endpoints=EMBEDDING),
    Fault("an index twice", {"kind": "duplicate_index"}, endpoints=EMBEDDING),
    Fault("wrong dimension", {"kind": "wrong_dimension"}, endpoints=EMBEDDING),
    *(Fault(f"{kind} in a vector", {"kind": kind}, endpoints=EMBEDDING) for kind in ("nan", "inf", "1e39")),
    Fault("a vector of zeros", {"kind": "zero"}, endpoints=EMBEDDING),
    Fault("empty", {"kind": "empty"}, endpoints=CHAT),
    Fault("white space", {"kind": "whitespace"}, endpoints=CHAT),
    Fault("refusal", {"kind": "refusal"}, endpoints=CHAT),
    Fault("refusal as text", {"kind": "refusal_in_text"}, endpoints=CHAT),
    Fault("broken off (length)", {"kind": "length"}, endpoints=CHAT),
    Fault("goes round in circles", {"kind": "repetition"}, endpoints=CHAT),
    Fault("longer than its passages", {"kind": "longer_than_input"}, endpoints=CHAT),
    Fault("content filter", {"kind": "content_filter"}, endpoints=CHAT),
    Fault("invented names and numbers", {"kind": "invented"}, endpoints=CHAT),
    Fault("context length exceeded", {"kind": "context_length_exceeded"}, endpoints=CHAT),
    Fault("prompt filtered", {"kind": "content_filter_prompt"}, extra=0, degraded=1, endpoints=CHAT),
)


def fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def document(case: str) -> str:
    """Some pages of which no two say the same, and no two cases."""
    topics = ("anchors", "bread", "bees", "glaciers", "clocks", "paper", "maps", "salt", "harbours", "looms")
    sections = []
    for number, topic in enumerate(topics):
        sentences = " ".join(
            f"The {word} of {topic} in volume {case} was measured {number * 7 + place + 12} times by the archive."
            for place, word in enumerate(("weight", "colour", "origin", "price"))
        )
        sections.append(f"## On {topic}\n\n{sentences}\n")
    return f"# Volume {case}\n\n" + "\n".join(sections)


@dataclass(frozen=True, slots=True)
class Bench:
    """A service by its HTTP client, whom it lets in, and the fake provider that all its calls go to."""

    http: httpx2.AsyncClient
    access: ApiKeys
    provider: RunningFakeProvider

    async def clean(self, endpoint: Endpoint) -> Seen:
        """An undisturbed build."""
        seen = await self.run(f"{endpoint}-clean", endpoint, None, 0)
        assert (seen.error, seen.degraded, seen.repeated) == ({}, 0, 0), seen
        return seen

    async def run(self, case: str, endpoint: Endpoint, fault: Fault | None, at: int) -> Seen:
        """A build as tenant `case`, whose call number `at` to the endpoint goes wrong; then, if it failed, its retry.
        Raises NothingMeasured."""
        keys = keys_of(case, endpoint)
        own = fingerprint(keys[KEY_OF[endpoint]])
        if fault is not None:
            await asyncio.to_thread(self.provider.faults, {"endpoint": endpoint, "key": own, "from": at, **fault.rule})
        tenant = {"Authorization": f"Bearer {await self.access.create(case, 'bench')}"}
        began = time.monotonic()
        job_id = await self.upload(DATASET, keys, headers=tenant)
        job = await self.finished(job_id, tenant)
        error = job["error"] or {}
        if job["status"] == "failed":
            brought = {"X-" + name.replace("_", "-"): key for name, key in keys.items()}
            again = await self.http.post(f"/v1/jobs/{job_id}/retry", headers=tenant | brought)
            again.raise_for_status()
            job = await self.finished(again.json()["data"]["job_id"], tenant)
        assert job["status"] == "succeeded", job
        seconds = time.monotonic() - began
        calls = [
            call
            for call in reversed(await asyncio.to_thread(self.provider.calls, 10_000))
            if call["key"] == own and call["endpoint"] == endpoint
        ]
        tree = (await self.http.get(f"/v1/datasets/{DATASET}/tree", headers=tenant)).json()["data"]
        seen = Seen(error, tree["stats"]["degraded"], seconds, calls)
        if fault is not None:
            check_struck(fault, seen)
        return seen

    async def upload(
        self,
        dataset: str,
        keys: Mapping[str, str],
        text: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        answer = await self.http.post(
            "/v1/document/ingest-markdown",
            data={"dataset_id": dataset, "chunk_size": "300", "chunk_overlap": "0", "refine": "off", **keys},
            files={"file": ("volume.md", (text or document(dataset)).encode(), "text/markdown")},
            headers={"Prefer": "respond-async", **(headers or {})},
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["job_id"])

    async def job(self, job_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return dict((await self.http.get(f"/v1/jobs/{job_id}", headers=headers)).json()["data"])

    async def finished(self, job_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        while True:
            job = await self.job(job_id, headers)
            if job["status"] in TERMINAL:
                return job
            await asyncio.sleep(0.1)


KEY_OF: Mapping[Endpoint, str] = {
    "chat": "byok_deepseek_api_key",
    "contextualized": "byok_voyage_api_key",
    "embeddings": "byok_openai_api_key",
}


def keys_of(case: str, endpoint: Endpoint) -> dict[str, str]:
    """Each case has keys of its own: what is learnt of one key's limits is nothing to another."""
    if endpoint == "embeddings":
        return {"byok_openai_api_key": f"openai-{case}"}
    return {"byok_deepseek_api_key": f"deepseek-{case}", "byok_voyage_api_key": f"voyage-{case}"}


def check_struck(fault: Fault, seen: Seen) -> None:
    """Raises NothingMeasured where the fault was not struck as often as it was to be, or on several requests."""
    if len(seen.struck) != fault.rule.get("count", 1):
        raise NothingMeasured(f"{fault.name}: struck {len(seen.struck)} times in {len(seen.calls)} calls")
    if len({call["prompt"] for call in seen.struck}) > 1:
        raise NothingMeasured(f"{fault.name}: struck different requests")


def as_expected(fault: Fault, seen: Seen, clean: Seen) -> list[str]:
    """What differs, in words; nothing if all is as it has to be."""
    wrong = []
    if seen.code != fault.code:
        wrong.append(f"the job's code is {seen.code}, not {fault.code}")
    if len(seen.calls) != len(clean.calls) + fault.extra:
        wrong.append(f"{len(seen.calls)} calls instead of {len(clean.calls)} + {fault.extra}")
    if seen.degraded != fault.degraded:
        wrong.append(f"{seen.degraded} nodes degraded, not {fault.degraded}")
    if seen.repeated != fault.repeated:
        wrong.append(f"{seen.repeated} calls paid twice")
    if seen.struck[0]["endpoint"] != "chat":
        twice = seen.texts - clean.texts
        if twice != fault.repeated * seen.struck[0]["texts"]:
            wrong.append(f"{twice} texts embedded twice")
    if seen.seconds < fault.pauses_s:
        wrong.append(f"it took {seen.seconds:.1f} s and had to pause {fault.pauses_s:.0f}")
    told_s = seen.error.get("details", {}).get("retry_after_s")
    if fault.code is not None and fault.rule.get("retry_after") != told_s:
        wrong.append(f"the job's error tells a pause of {told_s} s")
    return wrong
