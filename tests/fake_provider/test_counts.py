"""The counts and the limits that bills and limiters are held against."""

from __future__ import annotations

import json

import httpx2
import pytest

from fake_provider import RunningFakeProvider, create_fake_provider
from fake_provider.calls import fingerprint
from fake_provider.limits import KeyLimits, RateLimiter
from fake_provider.refusals import Refusal
from tests.fake_provider.asking import PASSAGES, Asked, chat_body, summary_body


def test_the_counts_hold_what_was_asked_and_never_a_key(provider: RunningFakeProvider, post: Asked) -> None:
    post("/v1/chat/completions", chat_body("hello"), "canary-one")
    post("/v1/embeddings", {"model": "m", "input": ["a", "b"]}, "canary-one")
    post("/v1/embeddings", {"model": "m", "input": "a"}, "bad-canary")
    stats = provider.stats()
    assert stats["calls"] == 3
    assert stats["by_endpoint"] == {"/v1/chat/completions": 1, "/v1/embeddings": 2}
    assert stats["by_key"] == {fingerprint("canary-one"): 2, fingerprint("bad-canary"): 1}
    assert stats["by_status"] == {"200": 2, "401": 1}
    assert stats["tokens"]["total"] == stats["tokens"]["prompt"] + stats["tokens"]["completion"] > 0
    latest = provider.calls(2)
    assert [(call["status"], call["texts"], call["prompt_tokens"]) for call in latest] == [(401, 1, 0), (200, 2, 2)]
    assert "canary" not in json.dumps([stats, latest, provider.programmed()])
    provider.reset()
    assert provider.stats()["calls"] == 0
    assert provider.calls() == []


def test_a_question_paid_for_twice_is_counted_whatever_marks_it_has(provider: RunningFakeProvider, post: Asked) -> None:
    for mark in ("aaaa1111", "bbbb2222"):
        post("/v1/chat/completions", summary_body(PASSAGES, mark=mark))
    post("/v1/chat/completions", summary_body(PASSAGES[:2]))
    assert provider.stats()["repeated"] == 1
    assert [call["repeated"] for call in provider.calls()] == [False, True, False]


def test_a_window_slides() -> None:
    limiter, limits = RateLimiter(), KeyLimits(rpm=2, tpm=100)
    limiter.admit("key", limits, 10, now=0)
    limiter.admit("key", limits, 10, now=30)
    with pytest.raises(Refusal) as caught:
        limiter.admit("key", limits, 10, now=40)
    assert caught.value.headers["Retry-After"] == "20"
    assert caught.value.headers["x-ratelimit-remaining-requests"] == "0"
    limiter.admit("other key", limits, 10, now=40)
    limiter.admit("key", limits, 80, now=60)
    with pytest.raises(Refusal) as caught:
        limiter.admit("key", KeyLimits(tpm=100), 11, now=61)
    assert caught.value.headers["Retry-After"] == "29"


def test_written_tokens_count_and_a_call_that_can_never_fit_is_given_no_time() -> None:
    limiter, limits = RateLimiter(), KeyLimits(tpm=100)
    limiter.admit("key", limits, 50, now=0)
    limiter.release("key", 50, now=1)
    with pytest.raises(Refusal) as caught:
        limiter.admit("key", limits, 60, now=2)
    assert caught.value.headers["Retry-After"] == "59"
    with pytest.raises(Refusal) as caught:
        limiter.admit("key", limits, 101, now=500)
    assert "Retry-After" not in caught.value.headers


def test_only_so_many_calls_at_a_time() -> None:
    limiter, limits = RateLimiter(), KeyLimits(concurrency=1)
    limiter.admit("key", limits, 1, now=0)
    with pytest.raises(Refusal):
        limiter.admit("key", limits, 1, now=100)
    limiter.release("key", 0, now=100)
    limiter.admit("key", limits, 1, now=100)


async def test_a_limited_key_is_told_when_to_come_back() -> None:
    transport = httpx2.ASGITransport(create_fake_provider(rpm=2))
    async with httpx2.AsyncClient(transport=transport, base_url="http://fake") as client:
        answers = [
            await client.post("/v1/chat/completions", json=chat_body(), headers={"Authorization": f"Bearer {key}"})
            for key in ("one", "one", "one", "other")
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
