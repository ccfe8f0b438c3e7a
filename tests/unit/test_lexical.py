"""The embedder that needs no key: near is what shares words, and a text's vector never changes."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.embeddings.lexical import LexicalEmbedder
from services.cost.usage import Usage
from services.text.lexical_vectors import DIMENSIONS, lexical_vectors

TEXTS = [
    "Ownership is a set of rules that govern how a Rust program manages memory.",
    "Quyền sở hữu là một tập quy tắc.",
    "所有权是一组规则。",
    "tree tree tree tree leaf leaf root",
    "",
    "!?",
    "The of and",
]


def cosine(one: str, other: str) -> float:
    first, second = lexical_vectors([one, other])
    return float(first @ second)


def test_vectors_are_the_stored_ones_bit_by_bit() -> None:
    """Another digest is another space: then the model's name has to change with it."""
    assert LexicalEmbedder.space.name == "builtin/lexical-1"
    digest = hashlib.sha256(lexical_vectors(TEXTS).tobytes()).hexdigest()
    assert digest == "fa705b566e824448d852bc377cd5a9baba3054453a8f6fb145eda0a7fd05369d"


def test_a_vector_does_not_depend_on_its_company() -> None:
    alone = np.concatenate([lexical_vectors([text]) for text in TEXTS])
    crowd = lexical_vectors(["other words " * 20_000, *TEXTS, "more of it " * 30_000, *TEXTS])
    assert np.array_equal(crowd[1 : len(TEXTS) + 1], alone)
    assert np.array_equal(crowd[-len(TEXTS) :], alone)


@settings(max_examples=50)
@given(st.lists(st.text(), max_size=5))
def test_every_text_has_a_direction(texts: list[str]) -> None:
    vectors = lexical_vectors(texts)
    assert vectors.shape == (len(texts), DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("text", ["", " \n", "!!!", "—", "the of and", "của và là", "的", "\x00", "\ud800"])
def test_a_text_without_a_usable_word_has_a_direction_too(text: str) -> None:
    assert np.isclose(np.linalg.norm(lexical_vectors([text])[0]), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("duong pho ha noi", "Đường phố Hà Nội rất đông vào buổi sáng.", "Vịnh Hạ Long có nhiều đảo đá vôi."),
        ("如何配置数据库连接池", "数据库的连接池可以在配置文件中修改。", "今天天气很好，适合散步。"),
        ("データベースの設定", "設定ファイルでデータベースを選びます。", "今日は天気がよいです。"),
        ("configure the connection pool", "Configuring connection pools", "The weather is fine today"),
        ("authentification", "Authentication of users", "Garbage collection of memory"),
        ("read to string", "`fs::read_to_string` gives the file", "A vector of numbers"),
    ],
)
def test_what_shares_words_is_near(query: str, near: str, far: str) -> None:
    assert cosine(query, near) > cosine(query, far) + 0.1


def test_stop_words_do_not_make_texts_alike() -> None:
    assert abs(cosine("the cat is on the mat", "the law is on the books")) < 0.15


def test_marks_make_no_difference() -> None:
    assert cosine("Đà Nẵng", "da nang") == pytest.approx(1, abs=1e-6)


def test_a_repeated_word_weighs_more_but_not_in_proportion() -> None:
    once, often = cosine("graph", "graph tree"), cosine("graph", "graph " * 50 + "tree")
    assert once < often < 0.995


async def test_documents_are_flattened_in_order() -> None:
    found = await LexicalEmbedder().embed([TEXTS[:2], [], TEXTS[2:]], kind="document")
    assert np.array_equal(found.vectors, lexical_vectors(TEXTS))
    assert found.usage == Usage()


async def test_the_work_is_done_where_the_caller_says() -> None:
    asked: list[Any] = []

    async def compute(function: Callable[..., Any], *arguments: Any) -> Any:
        asked.append(function)
        return function(*arguments)

    found = await LexicalEmbedder(compute).embed([TEXTS], kind="query")
    assert asked == [lexical_vectors]
    assert np.array_equal(found.vectors, lexical_vectors(TEXTS))


def test_another_process_finds_the_same_vectors() -> None:
    assert pickle.loads(pickle.dumps(lexical_vectors)) is lexical_vectors
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(lexical_vectors, TEXTS).result(timeout=60), lexical_vectors(TEXTS))
