"""The real SDKs over real HTTP, and the command that serves them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import Any

import httpx2
import openai
import voyageai

from fake_provider import RunningFakeProvider
from fake_provider.tokens import count_tokens
from tests.fake_provider.asking import PASSAGES, messages


def test_the_openai_sdk_gets_a_completion_with_its_bill(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-6-luna", messages=messages("Be brief.", "Good morning"), seed=1)
    assert answer.choices[0].message.content == "Good morning"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == count_tokens("Be brief.") + count_tokens("Good morning")
    assert answer.usage.completion_tokens == count_tokens("Good morning")
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "gpt-6-luna",
        "messages": messages("Be brief.", "one two three four five six seven"),
    }
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}) as stream:
        events = list(stream)
    deltas = [event.choices[0].delta.content or "" for event in events if event.choices]
    assert sum(map(bool, deltas)) > 1
    assert "".join(deltas) == whole.choices[0].message.content
    assert [event.usage for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].usage == whole.usage


async def test_the_openai_sdk_works_without_blocking_too(provider: RunningFakeProvider) -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(model="m", messages=messages("", "hello you"), stream=True)
        assert "".join([event.choices[0].delta.content or "" async for event in stream]) == "hello you"
        found = await client.embeddings.create(model="text-embedding-3-large", input=["a ship"], dimensions=1024)
    assert len(found.data[0].embedding) == 1024


def test_embeddings_are_the_same_in_both_encodings(client: openai.OpenAI) -> None:
    as_bytes = client.embeddings.create(model="bge-m3", input=PASSAGES)
    as_numbers = client.embeddings.create(model="bge-m3", input=PASSAGES, encoding_format="float")
    assert [item.embedding for item in as_bytes.data] == [item.embedding for item in as_numbers.data]
    assert as_bytes.usage.total_tokens == sum(map(count_tokens, PASSAGES))


def test_the_voyage_sdk_gets_vectors_and_rankings(provider: RunningFakeProvider) -> None:
    client = voyageai.Client(api_key="k", base_url=f"{provider.url}/v1")  # type: ignore[attr-defined]
    found = client.contextualized_embed([PASSAGES[:2], PASSAGES[2:]], "voyage-context-3", input_type="document")
    assert [len(result.embeddings) for result in found.results] == [2, 1]
    assert {len(vector) for result in found.results for vector in result.embeddings} == {1024}
    assert found.total_tokens == sum(map(count_tokens, PASSAGES))
    ranked = client.rerank("What is the engine called?", PASSAGES, "rerank-2.5", top_k=2)
    assert ranked.results[0].index == 1
    assert len(ranked.results) == 2
    assert len(client.embed(PASSAGES, "voyage-4", output_dimension=256).embeddings[0]) == 256


async def test_the_voyage_sdk_works_without_blocking_too(provider: RunningFakeProvider) -> None:
    client = voyageai.AsyncClient(api_key="k", base_url=f"{provider.url}/v1")  # type: ignore[attr-defined]
    found = await client.contextualized_embed([["Who cooks?"]], "voyage-context-4", input_type="query")
    assert len(found.results[0].embeddings[0]) == 1024


def test_the_command_says_where_it_listens_and_stops_clean() -> None:
    program = "from app.cli.fake_provider import fake_provider; fake_provider(port=0)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        said_lines = [run.stdout.readline() for _ in range(4)]
        (url,) = re.findall(r"RAPTOR_PROVIDER_BASE_URL_OVERRIDE=(\S+)", "".join(said_lines))
        assert httpx2.get(f"{url}/_stats", trust_env=False).json()["calls"] == 0
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert (run.returncode, errors) == (0, "")


def test_without_its_tokenizer_the_command_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['toktok'] = None; sys.argv = ['raptor', 'fake-provider'];"
        " from app.cli import main; main()"
    )
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "pip install toktok-rs" in failed.stderr
    assert "Traceback" not in failed.stderr
