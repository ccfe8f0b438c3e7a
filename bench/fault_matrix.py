"""Every failure of a provider, what the service has to make of it, and how one is tried: a build on a key of its own,
of which the fake provider lets one call go wrong.

The cases are data; `python -m bench.faults` runs them.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from infra.fake_provider import RunningFakeProvider

Endpoint = Literal["chat", "contextualized", "embeddings"]
TERMINAL = {"succeeded", "failed", "cancelled"}
ATTEMPTS = 5  # the default of RAPTOR_PROVIDER_ATTEMPTS
UNAVAILABLE = "embedding_service_unavailable"

# Windows and batches of a few chunks, so that a small document takes several calls. Of the keys that a case brings, the
# embedder follows: Voyage's contextual one, or OpenAI's.
MODELS_FILE = """
[defaults]
embedders = ["voyage/voyage-context-3", "openai/text-embedding-3-small"]
[embedders."voyage/voyage-context-3"]
window = 260
[embedders."openai/text-embedding-3-small"]
batch = 3
[providers.voyage]
start = 0
"""
TREE = {"grouper": "headings", "token_budget": 400, "summary_tokens": 60}


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
    """What a case came to: the last error code, calls to its endpoint, different requests among them, degraded nodes,
    repeated calls, wall time."""

    code: str | None
    calls: int
    struck: int
    degraded: int
    repeated: int
    requests: int
    seconds: float
    error: Mapping[str, Any] = field(default_factory=dict)


def status(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": number, **more}


EMBEDDING: tuple[Endpoint, ...] = ("contextualized", "embeddings")
CHAT: tuple[Endpoint, ...] = ("chat",)

FAULTS: tuple[Fault, ...] = (
    Fault("429, Retry-After: 2", status(429, retry_after=2), pauses_s=2.0),
    Fault("429, Retry-After: a date", status(429, retry_after=2, retry_after_as="date"), pauses_s=1.0),
    Fault("429 without Retry-After", status(429), pauses_s=2.0),
    Fault("429, Retry-After: 86400", status(429, retry_after=86400), code="provider_error", pauses_s=0.0),
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
    Fault("wrong content type, but a right answer", {"kind": "wrong_content_type"}, extra=0),
    Fault("50 MB", {"kind": "huge_body"}),
    Fault("gzip bomb", {"kind": "gzip_bomb"}),
    Fault("500 on every attempt", status(500, count=ATTEMPTS), extra=ATTEMPTS, code=UNAVAILABLE, endpoints=EMBEDDING),
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
    """A service by its HTTP client, and the fake provider that all its calls go to."""

    http: httpx.AsyncClient
    provider: RunningFakeProvider

    async def clean(self, endpoint: Endpoint) -> int:
        """How many calls an undisturbed build makes."""
        seen = await self.run(f"{endpoint[:4]}-000", endpoint, None, 0)
        assert (seen.code, seen.degraded, seen.repeated) == (None, 0, 0), seen
        return seen.calls

    async def run(self, case: str, endpoint: Endpoint, fault: Fault | None, at: int) -> Seen:
        keys = keys_of(case, endpoint)
        own = fingerprint(keys["byok_openai_api_key"] if endpoint == "embeddings" else keys[KEY_OF[endpoint]])
        if fault is not None:
            await asyncio.to_thread(self.provider.faults, {"endpoint": endpoint, "key": own, "from": at, **fault.rule})
        began = time.monotonic()
        job_id = await self.upload(case, keys)
        job = await self.finished(job_id)
        code, error = (job["error"] or {}).get("code"), job["error"] or {}
        if job["status"] == "failed":
            headers = {"X-" + name.replace("_", "-"): key for name, key in keys.items()}
            again = await self.http.post(f"/v1/jobs/{job_id}/retry", headers=headers)
            again.raise_for_status()
            job = await self.finished(again.json()["data"]["job_id"])
        assert job["status"] == "succeeded", job
        seconds = time.monotonic() - began
        calls = [
            call
            for call in await asyncio.to_thread(self.provider.calls, 10_000)
            if call["key"] == own and call["endpoint"] == endpoint
        ]
        tree = (await self.http.get(f"/v1/datasets/{case}/tree")).json()["data"]
        struck = sum(call["fault"] is not None for call in calls)
        repeated = sum(call["repeated"] for call in calls)
        requests = len({call["prompt"] for call in calls})
        return Seen(code, len(calls), struck, tree["stats"]["degraded"], repeated, requests, seconds, error)

    async def upload(self, case: str, keys: Mapping[str, str], text: str | None = None) -> str:
        answer = await self.http.post(
            "/v1/document/ingest-markdown",
            data={"dataset_id": case, "chunk_size": "300", "chunk_overlap": "0", **keys},
            files={"file": ("volume.md", (text or document(case)).encode(), "text/markdown")},
            headers={"Prefer": "respond-async"},
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["job_id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        return dict((await self.http.get(f"/v1/jobs/{job_id}")).json()["data"])

    async def finished(self, job_id: str) -> dict[str, Any]:
        while True:
            job = await self.job(job_id)
            if job["status"] in TERMINAL:
                return job
            await asyncio.sleep(0.1)


KEY_OF = {"chat": "byok_deepseek_api_key", "contextualized": "byok_voyage_api_key"}


def keys_of(case: str, endpoint: Endpoint) -> dict[str, str]:
    """Each case has keys of its own: what is learnt of one key's limits is nothing to another."""
    if endpoint == "embeddings":
        return {"byok_openai_api_key": f"openai-{case}"}
    return {"byok_deepseek_api_key": f"deepseek-{case}", "byok_voyage_api_key": f"voyage-{case}"}


def as_expected(fault: Fault, seen: Seen, clean: int, endpoint: Endpoint) -> list[str]:
    """What differs, in words; nothing if all is as it has to be."""
    wrong = []
    code = fault.code
    if endpoint != "chat":
        # Where a window ends follows from the text: another case has another number of them.
        clean = seen.requests
        code = UNAVAILABLE if code == "provider_error" and fault.rule.get("status") == 429 else code
    if seen.struck != fault.rule.get("count", 1):
        wrong.append(f"struck {seen.struck} times")
    if seen.code != code:
        wrong.append(f"the job's code is {seen.code}, not {code}")
    if seen.calls != clean + fault.extra:
        wrong.append(f"{seen.calls} calls instead of {clean} + {fault.extra}")
    if seen.degraded != fault.degraded:
        wrong.append(f"{seen.degraded} nodes degraded, not {fault.degraded}")
    if seen.repeated != fault.repeated:
        wrong.append(f"{seen.repeated} calls paid twice")
    if seen.seconds < fault.pauses_s:
        wrong.append(f"it took {seen.seconds:.1f} s and had to pause {fault.pauses_s:.0f}")
    return wrong
