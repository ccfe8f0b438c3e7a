"""Failures on order: each kind does what its description says, on the calls that its rule is for and on no other."""

from __future__ import annotations

import json
import math
import re
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

import fake_provider
from constants.prompts import REFINEMENT
from fake_provider import RunningFakeProvider, create_fake_provider, running_fake_provider
from fake_provider.calls import fingerprint
from fake_provider.faults import KINDS
from tests.fake_provider.asking import PASSAGES, Asked, chat_body, elements, messages, said, summary_body, vectors_of

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
TEXTS: dict[str, Any] = {"model": "m", "input": PASSAGES}


def statuses(post: Asked, times: int, **asked: Any) -> list[int]:
    return [post(CHAT, chat_body(**asked)).status_code for _ in range(times)]


# Which calls.


def test_a_rule_strikes_once_and_then_all_is_well(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "status"})
    assert statuses(post, 3) == [500, 200, 200]


@pytest.mark.parametrize(
    ("rule", "failing"),
    [
        ({"from": 3}, [3]),
        ({"from": 2, "count": 2}, [2, 3]),
        ({"from": 4, "count": None}, [4, 5, 6]),
        ({"every": 2, "count": None}, [1, 3, 5]),
        ({"from": 2, "every": 3, "count": 2}, [2, 5]),
        ({"every": None, "count": None}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_the_first_a_middle_or_the_last_call_can_fail(
    provider: RunningFakeProvider, post: Asked, rule: dict[str, Any], failing: list[int]
) -> None:
    provider.faults({"kind": "status", "status": 503, **rule})
    assert [number for number, status in enumerate(statuses(post, 6), start=1) if status == 503] == failing
    (programmed,) = provider.programmed()
    assert (programmed["seen"], programmed["struck"]) == (6, len(failing))


@pytest.mark.parametrize(
    "which",
    [
        {"endpoint": "chat"},
        {"key": fingerprint("that-key")},
        {"model": "that-model"},
        {"contains": "that text"},
        {"min_tokens": 20},
        {"endpoint": "chat", "model": "that-model", "contains": "that text"},
    ],
)
def test_only_the_calls_that_a_rule_is_for_are_counted(
    provider: RunningFakeProvider, post: Asked, which: dict[str, Any]
) -> None:
    provider.faults({"kind": "status", "count": None, **which})
    assert post(EMBEDDINGS, {"model": "other", "input": "short"}, "other-key").is_success
    that = chat_body("here is that text, " + "and so much more of it " * 10, model="that-model")
    assert post(CHAT, that, "that-key").status_code == 500
    assert provider.programmed()[0]["seen"] == 1


def test_rules_count_for_themselves_and_the_first_that_strikes_decides(
    provider: RunningFakeProvider, post: Asked
) -> None:
    provider.faults({"kind": "status", "status": 501}, {"kind": "status", "status": 502, "count": 2})
    assert statuses(post, 3) == [501, 502, 200]
    provider.clear_faults()
    provider.faults({"kind": "status", "status": 503})
    assert statuses(post, 2) == [503, 200]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"kind": "flood"}, "refuse_connection"),
        ({"kind": "hang", "status": 500}, "seconds"),
        ({"kind": "empty", "endpoint": "embeddings"}, "chat"),
        ({"kind": "limits", "count": 1}, "rpm"),
        ({"kind": "status", "from": 0}, "from"),
        ({"kind": "status", "key": "not-a-fingerprint"}, "key"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_what_would(
    provider: RunningFakeProvider, rule: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        provider.faults({"kind": "status"}, rule)
    assert provider.programmed() == []


def test_a_single_rule_needs_no_list(provider: RunningFakeProvider) -> None:
    httpx2.post(f"{provider.url}/_faults", json={"kind": "html"}, trust_env=False).raise_for_status()
    assert [rule["kind"] for rule in provider.programmed()] == ["html"]


def test_every_kind_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fake-provider.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| kind \|.*\n\| ---.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    described = re.findall(r"^\| `(\w+)` \|", "".join(tables), re.MULTILINE)
    assert sorted(described) == sorted(KINDS)
    listed = (fake_provider.__doc__ or "").partition("**Faults**")[2].partition(":")[2]
    assert sorted(re.findall(r"\w+", listed)) == sorted(KINDS)


# Refusals.


@pytest.mark.parametrize(
    ("rule", "header", "value"),
    [
        ({"retry_after": 2}, "Retry-After", "2"),
        ({"retry_after": 86400}, "Retry-After", "86400"),
        ({"retry_after": "soon"}, "Retry-After", "soon"),
        ({"retry_after": 0.3, "retry_after_as": "milliseconds"}, "Retry-After-Ms", "300"),
        ({}, "Retry-After", None),
    ],
)
def test_a_refusal_says_when_to_come_back_in_each_form(
    provider: RunningFakeProvider, post: Asked, rule: dict[str, Any], header: str, value: str | None
) -> None:
    provider.faults({"kind": "status", "status": 429, **rule})
    assert post(CHAT, chat_body()).headers.get(header) == value


def test_a_date_to_come_back_lies_ahead(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "status", "status": 429, "retry_after": 100, "retry_after_as": "date"})
    said_date = parsedate_to_datetime(post(CHAT, chat_body()).headers["Retry-After"])
    assert 50 < said_date.timestamp() - time.time() < 150


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        ("context_length_exceeded", openai.BadRequestError, "context_length_exceeded"),
        ("model_not_found", openai.NotFoundError, "model_not_found"),
        ("content_filter_prompt", openai.BadRequestError, "content_filter"),
    ],
)
def test_refusals_have_the_codes_by_which_clients_know_them(
    provider: RunningFakeProvider, client: openai.OpenAI, kind: str, error: type[openai.APIStatusError], code: str
) -> None:
    provider.faults({"kind": kind})
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="m", messages=messages("", "hi"))
    assert caught.value.code == code


def test_an_unsupported_parameter_is_refused_until_it_is_dropped(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "unsupported_parameter", "param": "reasoning_effort", "count": None})
    refused = post(CHAT, chat_body(reasoning_effort="low"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "reasoning_effort")
    assert post(CHAT, chat_body()).is_success


# On the way.


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"kind": "refuse_connection"}, httpx2.RemoteProtocolError),
        ({"kind": "reset"}, httpx2.ReadError),
        ({"kind": "hang"}, httpx2.ReadTimeout),
        ({"kind": "hang", "seconds": 0.05}, httpx2.RemoteProtocolError),
        ({"kind": "hang_midway"}, httpx2.ReadTimeout),
        ({"kind": "hang_midway", "seconds": 0.05}, httpx2.RemoteProtocolError),
        ({"kind": "late_success", "seconds": 60}, httpx2.ReadTimeout),
        ({"kind": "slow"}, httpx2.ReadTimeout),
    ],
)
@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
def test_connections_break_in_each_way(
    provider: RunningFakeProvider, path: str, rule: dict[str, Any], error: type[Exception]
) -> None:
    provider.faults(rule)
    asked: dict[str, Any] = {"json": chat_body(**TEXTS), "headers": {"Authorization": "Bearer k"}}
    with httpx2.Client(base_url=provider.url, trust_env=False, timeout=0.3) as impatient:
        with pytest.raises(error):
            impatient.post(path, **asked)
        assert impatient.post(path, **asked, timeout=30).is_success


def test_a_stream_breaks_after_it_has_begun(provider: RunningFakeProvider, client: openai.OpenAI) -> None:
    provider.faults({"kind": "hang_midway", "seconds": 0.05})
    received: list[object] = []
    stream = client.chat.completions.create(model="m", messages=messages("", "one two " * 90), stream=True)
    with stream, pytest.raises(openai.APIConnectionError):
        received.extend(stream)
    assert received


def test_a_slow_answer_is_a_right_one(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "slow", "bytes_per_second": 1e6}, {"kind": "late_success", "seconds": 0.01, "from": 2})
    assert [said(post(CHAT, chat_body())) for _ in range(2)] == ["hello", "hello"]


@pytest.mark.parametrize("kind", ["huge_body", "gzip_bomb"])
def test_a_body_can_be_larger_than_anyone_should_read(provider: RunningFakeProvider, post: Asked, kind: str) -> None:
    provider.faults({"kind": kind, "megabytes": 3})
    answer = post(CHAT, chat_body())
    assert len(answer.content) > 3_000_000
    assert said(answer) == "hello"
    assert int(answer.headers.get("Content-Length", 0)) < 20_000


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("truncated_json", "application/json"), ("invalid_json", "application/json"), ("html", "text/html")],
)
@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
def test_a_200_can_be_no_answer(
    provider: RunningFakeProvider, post: Asked, path: str, kind: str, content_type: str
) -> None:
    provider.faults({"kind": kind})
    answer = post(path, chat_body(**TEXTS))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(content_type)
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_right_answer_can_have_the_wrong_type(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "wrong_content_type"})
    answer = post(CHAT, chat_body())
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert said(answer) == "hello"


def test_a_provider_that_hangs_does_not_keep_anyone_from_stopping_it() -> None:
    with running_fake_provider() as provider, httpx2.Client(base_url=provider.url, trust_env=False) as client:
        provider.faults({"kind": "hang"})
        with pytest.raises(httpx2.ReadTimeout):
            client.post(CHAT, json=chat_body(), timeout=0.1)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(provider.url, trust_env=False)


async def test_in_process_a_broken_connection_is_an_error_too() -> None:
    transport = httpx2.ASGITransport(create_fake_provider())
    async with httpx2.AsyncClient(transport=transport, base_url="http://fake") as client:
        await client.post("/_faults", json={"kind": "refuse_connection"})
        with pytest.raises(ConnectionResetError):
            await client.post(CHAT, json=chat_body(), headers={"Authorization": "Bearer k"})


# Vectors.


@pytest.mark.parametrize(
    ("kind", "indices"),
    [
        ("fewer", [0, 1]),
        ("more", [0, 1, 2, 3]),
        ("reordered", [2, 1, 0]),
        ("reordered_wrong_index", [1, 2, 3]),
        ("duplicate_index", [0, 1, 0]),
    ],
)
def test_items_are_missing_added_or_out_of_place(
    provider: RunningFakeProvider, post: Asked, kind: str, indices: list[int]
) -> None:
    right = vectors_of(post(EMBEDDINGS, TEXTS))
    provider.faults({"kind": kind}, {"kind": kind, "endpoint": "contextualized"})
    items = post(EMBEDDINGS, TEXTS).json()["data"]
    assert [item["index"] for item in items] == indices
    by_index = {item["index"]: item["embedding"] for item in items}
    in_place = [by_index.get(index) == vector for index, vector in enumerate(right)]
    assert all(in_place) == (kind in ("reordered", "more"))
    body = {"model": "voyage-context-3", "inputs": [["alone"], PASSAGES]}
    documents = post("/v1/contextualizedembeddings", body).json()["data"]
    longest = next(document for document in documents if document["index"] == 1)
    assert [item["index"] for item in longest["data"]] == indices


def test_rankings_are_incomplete_or_too_many(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "fewer"}, {"kind": "more", "from": 2})
    body = {"model": "rerank-2.5", "query": "breakfast", "documents": PASSAGES, "return_documents": True}
    assert [len(post("/v1/rerank", body).json()["data"]) for _ in range(3)] == [2, 4, 3]


@pytest.mark.parametrize(
    ("kind", "is_so"),
    [
        ("nan", lambda vector: math.isnan(vector[0])),
        ("inf", lambda vector: math.isinf(vector[0])),
        ("1e39", lambda vector: vector[0] == 1e39),
        ("zero", lambda vector: not any(vector)),
    ],
)
def test_one_vector_is_none(provider: RunningFakeProvider, post: Asked, kind: str, is_so: Any) -> None:
    provider.faults({"kind": kind})
    assert [is_so(vector) for vector in vectors_of(post(EMBEDDINGS, TEXTS))] == [False, True, False]


@pytest.mark.parametrize(("rule", "dimension"), [({}, 512), ({"dimension": 1536}, 1536)])
def test_vectors_have_another_dimension_than_was_asked_for(
    provider: RunningFakeProvider, client: openai.OpenAI, rule: dict[str, int], dimension: int
) -> None:
    provider.faults({"kind": "wrong_dimension", **rule})
    found = client.embeddings.create(model="bge-m3", input=PASSAGES)
    assert {len(item.embedding) for item in found.data} == {dimension}


# What is written.


def spoiled(provider: RunningFakeProvider, post: Asked, kind: str) -> tuple[dict[str, Any], str]:
    provider.faults({"kind": kind})
    (choice,) = post(CHAT, summary_body(PASSAGES)).raise_for_status().json()["choices"]
    return choice, choice["message"]["content"] or ""


@pytest.mark.parametrize(
    ("kind", "finish_reason"),
    [("empty", "stop"), ("whitespace", "stop"), ("refusal", "stop"), ("content_filter", "content_filter")],
)
def test_nothing_is_written(provider: RunningFakeProvider, post: Asked, kind: str, finish_reason: str) -> None:
    choice, text = spoiled(provider, post, kind)
    assert not text.strip()
    assert choice["finish_reason"] == finish_reason
    assert bool(choice["message"]["refusal"]) == (kind == "refusal")


def test_an_answer_breaks_off(provider: RunningFakeProvider, post: Asked) -> None:
    right = said(post(CHAT, summary_body(PASSAGES)))
    choice, text = spoiled(provider, post, "length")
    assert right.startswith(text)
    assert (len(text) < len(right), choice["finish_reason"]) == (True, "length")


def test_an_answer_repeats_itself_and_claims_to_be_complete(provider: RunningFakeProvider, post: Asked) -> None:
    choice, text = spoiled(provider, post, "repetition")
    assert text.count(" ".join(text.split()[-12:])) > 20
    assert choice["finish_reason"] == "stop"


def test_a_summary_is_longer_than_what_it_summarises(provider: RunningFakeProvider, post: Asked) -> None:
    _, text = spoiled(provider, post, "longer_than_input")
    assert len(text) > sum(map(len, PASSAGES))


def test_a_number_a_name_and_an_address_are_invented(provider: RunningFakeProvider, post: Asked) -> None:
    _, text = spoiled(provider, post, "invented")
    given = " ".join(PASSAGES)
    for pattern in (r"\b\d{5}\b", r"According to (\w+ \w+)", r"https://\w+\.example/\S+"):
        found = re.findall(pattern, text)
        assert found
        assert all(each not in given for each in found)


def test_an_answer_obeys_the_text_and_not_us(provider: RunningFakeProvider, post: Asked) -> None:
    _, text = spoiled(provider, post, "echo_injection")
    assert "table of contents" in text
    assert "<passage f00dcafe" in text


def test_a_refusal_can_look_like_an_answer(provider: RunningFakeProvider, post: Asked) -> None:
    choice, text = spoiled(provider, post, "refusal_in_text")
    assert "can't help" in text
    assert choice["message"]["refusal"] is None


def test_decisions_about_pieces_are_broken_or_mad(provider: RunningFakeProvider, post: Asked) -> None:
    body = chat_body(elements("piece", ["one", "two"]), REFINEMENT.system)
    provider.faults({"kind": "content_not_json"}, {"kind": "drop_everything", "from": 2})
    with pytest.raises(json.JSONDecodeError):
        json.loads(said(post(CHAT, body)))
    assert {1, 2, 3, -1} < set(json.loads(said(post(CHAT, body)))["drop"])


# The bill.


def test_a_bill_can_be_a_surprise_or_missing(provider: RunningFakeProvider, post: Asked) -> None:
    usual = post(CHAT, chat_body()).json()["usage"]["total_tokens"]
    provider.faults({"kind": "huge_usage", "factor": 50}, {"kind": "no_usage", "from": 2})
    assert post(CHAT, chat_body()).json()["usage"]["total_tokens"] == 50 * usual
    assert "usage" not in post(CHAT, chat_body()).json()
    assert provider.stats()["tokens"]["total"] == 52 * usual


def test_only_what_could_be_used_is_paid_for_twice(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "html"}, {"kind": "huge_usage", "from": 3})
    for _ in range(4):
        post(CHAT, chat_body())
    assert [call["repeated"] for call in provider.calls()][::-1] == [False, False, True, True]
    assert provider.stats()["by_fault"] == {"html": 1, "huge_usage": 1}


def test_what_was_never_answered_is_not_paid_for(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "refuse_connection"})
    with pytest.raises(httpx2.RemoteProtocolError):
        post(CHAT, chat_body())
    stats = provider.stats()
    assert (stats["calls"], stats["by_status"], stats["tokens"]["total"]) == (1, {"none": 1}, 0)


def test_limits_can_change_while_it_runs(provider: RunningFakeProvider, post: Asked) -> None:
    provider.faults({"kind": "limits", "rpm": 1, "key": fingerprint("slow-key")})
    assert [post(CHAT, chat_body(), "slow-key").status_code for _ in range(2)] == [200, 429]
    assert post(CHAT, chat_body(), "other-key").is_success
    provider.clear_faults()
    assert post(CHAT, chat_body(), "slow-key").is_success
