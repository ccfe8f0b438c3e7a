"""Index terms: what a reader types is what a writer wrote, in whatever script and spelling."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.text.stop_words import STOP_WORDS
from services.text.words import fold, stem, words


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("duong pho da nang", "Đường phố Đà Nẵng"),
        ("cafe", "CAFÉ"),
        ("cafe", "cafe\u0301"),
        ("strasse", "Straße"),
        ("ёлка", "елка"),
        ("احمد", "أَحْمَد"),
        ("full width 123", "Ｆｕｌｌ ｗｉｄｔｈ １２３"),
        ("istanbul", "İstanbul"),
    ],
)
def test_text_typed_without_marks_is_found(typed: str, written: str) -> None:
    assert words(typed, stop_words=True) == words(written, stop_words=True)


@pytest.mark.parametrize(
    "spelling", ["get_child_item", "getChildItem", "Get-ChildItem", "get-child-item", "getchilditem"]
)
def test_every_spelling_of_an_identifier_gives_the_same_whole(spelling: str) -> None:
    assert "getchilditem" in words(spelling)


def test_the_parts_of_an_identifier_are_terms_too() -> None:
    assert set(words("HashMap")) == {"hashmap", "hash", "map"}
    assert {"read", "string"} < set(words("read_to_string"))
    assert {"std", "fs"} < set(words("std::fs"))


def test_an_acronym_in_the_plural_stays_one_word() -> None:
    assert words("URLs and PDFs") == ["url", "pdf"]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("3.11", ["3.11"]),
        ("1,234.5", ["1234.5"]),
        ("1,2,3", ["1", "2", "3"]),
        ("in 2014", ["2014"]),
        ("sha256", ["sha256"]),
    ],
)
def test_numbers_are_terms(text: str, terms: list[str]) -> None:
    assert words(text) == terms


@pytest.mark.parametrize(
    "forms",
    [
        ("cluster", "clusters", "clustered", "clustering"),
        ("query", "queries", "queried", "querying"),
        ("stop", "stops", "stopped", "stopping"),
        ("box", "boxes"),
        ("cache", "caches", "cached", "caching"),
        ("quick", "quickly"),
    ],
)
def test_english_inflections_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize("word", ["bus", "class", "string", "thing", "bed", "this", "fly", "analysis"])
def test_a_word_that_only_looks_inflected_keeps_its_ending(word: str) -> None:
    assert stem(word)[:3] == word[:3]
    assert len(stem(word)) >= len(word) - 1


def test_scripts_without_spaces_give_pairs_of_letters() -> None:
    assert words("数据库") == ["数据", "据库"]
    assert words("東京タワー") == ["東京", "京タ", "タワ", "ワー"]
    assert words("한국어 문서") == ["한국", "국어", "문서"]
    assert words("木") == ["木"]


def test_a_vowel_sign_stays_with_its_letter() -> None:
    assert words("हिन्दी") == ["हिन्दी"]
    assert all(not unicodedata.category(term[0]).startswith("M") for term in words("ที่อยู่ภาษาไทย"))


def test_words_and_ideographs_in_one_sentence_are_both_found() -> None:
    assert words("配置 FastAPI 依赖") == ["fastapi", "fast", "api", "配置", "依赖"]


@pytest.mark.parametrize("text", ["What is the use of it?", "và của những", "一个", "les uns et les autres", "это что"])
def test_stop_words_are_left_out_unless_asked_for(text: str) -> None:
    assert len(words(text)) < len(words(text, stop_words=True))


def test_stop_words_are_written_as_they_are_compared() -> None:
    assert {word for word in STOP_WORDS if fold(word) != word} == set()


@pytest.mark.parametrize("name", ["C", "AI", "MIT", "die", "war", "os"])
def test_a_function_word_that_is_a_name_elsewhere_stays_a_term(name: str) -> None:
    assert words(name) == [stem(name.lower())]


def test_a_term_is_never_longer_than_an_index_key_may_be() -> None:
    terms = words("a" * 10_000 + " " + "b." * 10_000 + " " + "é" * 10_000 + " " + "9" * 10_000 + ".9" * 10_000)
    assert terms
    assert max(map(len, terms)) <= 512


@given(st.text())
def test_any_text_has_terms_without_spaces(text: str) -> None:
    for term in words(text, stop_words=True):
        assert term
        assert not any(map(str.isspace, term))


@given(st.text(), st.text())
def test_terms_are_counted_wherever_they_stand(first: str, second: str) -> None:
    together = words(f"{first}\n{second}", stop_words=True)
    assert sorted(together) == sorted(words(first, stop_words=True) + words(second, stop_words=True))
