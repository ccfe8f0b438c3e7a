"""One rule for texts and questions: what is typed in one form finds what is written in another, both ways."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.text.index_terms import LONGEST_TERM, index_terms, normal_form

# Each pair has a term in common that a text about something else has not: `other` has none of the shared ones.
PAIRS = [
    ("4.7.3", "[v4.7.3]", "v4.8.0 and 3 of 7"),
    ("v4.7.3", "release 4.7.3 is out", "release 4.8.0"),
    ("python 3.11", "python3.11", "python3.9"),
    ("Python3.11", "with python 3.11", "with python 3.9"),
    ("GPT 4.1", "GPT-4.1", "GPT-4o"),
    ("gpt4.1", "GPT-4.1 mini", "GPT-4o mini"),
    ("postgres 15.2", "postgres-15.2", "postgres-14.0"),
    ("postgres15.2", "postgres 15.2", "postgres 14.0"),
    ("Windows 11", "windows11", "windows10"),
    ("C++", "written in C++17", "written in C"),
    ("C#", "the C# compiler", "the C compiler"),
    ("F#", "F# and others", "F and others"),
    (".NET", "a .net application", "a net application"),
    ("Ｃ＋＋", "C++", "C"),
    ("龍", "山に龍がいた", "川に魚がいた"),
    ("ふ", "ゆふぐれ", "あさ"),
    ("강", "한강은", "한국은"),
    ("1987", "سنة ١٩٨٧", "سنة ٢٠٠١"),
    ("1987", "सन् १९८७ में", "सन् २००१ में"),
    ("2024", "ปี ๒๕๖๗ / ๒๐๒๔", "ปี ๒๕๖๗"),
    ("3.14", "৩.১৪", "২.৭১"),
    ("Riesenkalmar", "Riesen\u00adkal\u00admar", "Kalmar"),
    ("keyboard", "key\u200bboard", "board"),
    ("keyboard", "key\u2060board", "board"),
    ("كتاب", "کتاب", "قلم"),
    ("یار", "يار", "مار"),
    ("می\u200cخواهم", "میخواهم", "نمیدانم"),
    ("क़लम", "कलम", "किताब"),
    ("फ़ोन", "फोन", "मौन"),
    ("ёлка", "елка", "палка"),
    ("ﬁnance", "finance", "fin"),
    ("ｶﾞﾗｽ", "ガラス", "カラス口"),
    ("biển", unicodedata.normalize("NFD", "biển"), "núi"),
    ("e\u2011mail", "e-mail", "mail"),
    ("cafe", "Café", "tea"),
    ("resume", "RÉSUMÉ", "summary"),
]


@pytest.mark.parametrize(("typed", "written", "other"), PAIRS)
def test_one_form_finds_the_other_both_ways(typed: str, written: str, other: str) -> None:
    shared = set(index_terms(typed)) & set(index_terms(written))
    assert shared - set(index_terms(other))


@pytest.mark.parametrize(
    ("typed", "folded"),
    [("café", "cafe"), ("Polish", "polish"), ("US", "us"), ("đường", "duong"), ("Größe", "Grosse"), ("naïve", "naive")],
)
def test_what_is_typed_with_accents_and_capitals_shares_more_with_its_like(typed: str, folded: str) -> None:
    asked = set(index_terms(typed))
    assert len(asked & set(index_terms(typed))) > len(asked & set(index_terms(folded)))


def test_a_question_without_accents_finds_both_alike() -> None:
    assert set(index_terms("cafe")) <= set(index_terms("café")) & set(index_terms("cafe"))


@pytest.mark.parametrize("text", ["ภาษาไทย", "ភាសា\u200bខ្មែរ", "မြန်မာ", "ພາສາລາວ"])
def test_scripts_without_spaces_keep_their_pairs_and_their_zero_width_spaces(text: str) -> None:
    assert normal_form(text) == unicodedata.normalize("NFKC", text)
    assert index_terms(text)


@given(st.text(), st.text())
def test_terms_are_counted_wherever_they_stand(first: str, second: str) -> None:
    together = index_terms(f"{first}\n\n{second}")
    assert sorted(together) == sorted(index_terms(first) + index_terms(second))


@given(st.text())
def test_a_term_fits_into_the_index(text: str) -> None:
    assert all(term and len(term) <= LONGEST_TERM for term in index_terms(text))


@pytest.mark.parametrize("text", ["a" * 1_000_000, "C+" * 300_000, "a1." * 300_000, "龍" * 500_000, "\u00ad" * 500_000])
def test_hostile_texts_are_read_in_no_time(text: str) -> None:
    assert index_terms(text) is not None
