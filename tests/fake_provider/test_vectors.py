"""Embeddings and rankings: their shapes, limits and meaning."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import numpy as np
import pytest

from fake_provider import create_fake_provider
from tests.fake_provider.asking import PASSAGES, Asked, cosine, vectors_of


@pytest.mark.parametrize(
    ("body", "dimension"),
    [
        ({"model": "BAAI/bge-m3"}, 1024),
        ({"model": "all-MiniLM-L6-v2"}, 384),
        ({"model": "text-embedding-3-small"}, 1536),
        ({"model": "text-embedding-3-large", "dimensions": 256}, 256),
        ({"model": "voyage-4", "output_dimension": 2048}, 2048),
        ({"model": "odd", "dimensions": 7}, 7),
    ],
)
def test_vectors_have_length_1_in_any_dimension(post: Asked, body: dict[str, Any], dimension: int) -> None:
    vectors = np.array(vectors_of(post("/v1/embeddings", {**body, "input": [*PASSAGES, "!?"]})))
    assert vectors.shape == (4, dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_texts_that_share_words_are_near(post: Asked) -> None:
    texts = ["The engine needs diesel", "Which diesel for the engine?", "Breakfast is served at seven"]
    query, near, far = vectors_of(post("/v1/embeddings", {"model": "all-minilm", "input": texts}))
    assert cosine(query, near) > 0.4 > cosine(query, far)


def test_a_contextual_vector_leans_to_its_neighbours(post: Asked) -> None:
    body = {"model": "voyage-context-3", "inputs": [PASSAGES[:2], PASSAGES[1:2]]}
    together, alone = post("/v1/contextualizedembeddings", body).json()["data"]
    first, second = (item["embedding"] for item in together["data"])
    assert 0.9 < cosine(second, alone["data"][0]["embedding"]) < 0.999
    assert cosine(second, first) > cosine(alone["data"][0]["embedding"], first)


def test_perplexity_sends_small_whole_numbers(post: Asked) -> None:
    body = {"model": "pplx-embed-context-v1-0.6b", "input": [PASSAGES[:2]]}
    (document,) = post("/v1/contextualizedembeddings", body).raise_for_status().json()["data"]
    first = np.frombuffer(base64.b64decode(document["data"][0]["embedding"]), dtype=np.int8)
    exact = post("/v1/contextualizedembeddings", {"model": "voyage-context-3", "inputs": [PASSAGES[:2]]}).json()
    assert first.shape == (1024,)
    assert cosine(first, exact["data"][0]["data"][0]["embedding"]) > 0.99


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ([["a"]] * 1001, "documents"),
        ([["a"] * 16_001], "chunks"),
        ([["x " * 20_000, "y " * 20_000]], "tokens"),
        ([["x " * 30_000]] * 5, "tokens"),
        ([["a"], []], "inputs"),
        (["a"], "inputs"),
    ],
)
def test_a_contextual_request_beyond_the_limits_is_told_what_is_too_much(post: Asked, inputs: Any, word: str) -> None:
    answer = post("/v1/contextualizedembeddings", {"model": "voyage-context-3", "inputs": inputs})
    assert answer.status_code == 400
    assert word in answer.json()["detail"]


async def test_another_seed_is_another_space_with_the_same_neighbours() -> None:
    found = []
    for seed in (0, 7):
        transport = httpx2.ASGITransport(create_fake_provider(seed=seed))
        async with httpx2.AsyncClient(transport=transport, base_url="http://fake") as client:
            headers = {"Authorization": "Bearer k"}
            answer = await client.post("/v1/embeddings", json={"model": "m", "input": PASSAGES}, headers=headers)
            found.append(np.array(vectors_of(answer)))
    zero, seven = found
    assert np.allclose(zero @ zero.T, seven @ seven.T, atol=1e-6)
    assert abs(cosine(zero[0], seven[0])) < 0.3


@pytest.mark.parametrize(
    ("path", "body", "results", "score"),
    [
        ("/v1/rerank", {"model": "rerank-2.5", "top_k": 2}, ("data",), "relevance_score"),
        ("/v2/rerank", {"model": "rerank-v3.5", "top_n": 2}, ("results",), "relevance_score"),
        ("/v1/rerank", {"model": "BAAI/bge-reranker-v2-m3", "top_n": 2}, ("results",), "relevance_score"),
        ("/rerank", {}, (), "score"),
    ],
)
def test_each_reranker_answers_in_its_own_shape(
    post: Asked, path: str, body: dict[str, Any], results: tuple[str, ...], score: str
) -> None:
    texts = "documents" if body else "texts"
    found = post(path, {**body, "query": "When is breakfast?", texts: PASSAGES}).raise_for_status().json()
    for name in results:
        found = found[name]
    assert found[0]["index"] == 2
    assert found[0][score] > found[1][score] >= 0
    assert len(found) == (2 if body else 3)
