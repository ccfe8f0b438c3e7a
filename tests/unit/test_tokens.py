from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.tokens import estimate_tokens, truncate_to_tokens

SCRIPTS = {
    "ascii": ("hello world", 11 / 3.7),
    "han": ("检索增强生成", 6),
    "kana": ("ひらがなカタカナ", 8),
    "hangul": ("한국어", 3),
    "full width": ("ＡＢＣ！", 4),
    "vietnamese": ("đọc", 2 * 0.75 + 1 / 3.7),
    "cyrillic": ("Привет", 6 * 0.75),
    "emoji": ("🙂🙂", 2 * 0.75),
    "han beyond the basic plane": ("𠮷", 1),
    "mixed": ("RAPTOR 树", 7 / 3.7 + 1),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_has_its_weight(script: str) -> None:
    text, tokens = SCRIPTS[script]
    assert estimate_tokens(text) == math.ceil(tokens)


def test_only_the_empty_text_has_no_tokens() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens(" ") == 1
    assert estimate_tokens("é") == 1


def test_rounding_up_is_exact_where_floats_are_not() -> None:
    assert estimate_tokens("a" * 37) == 10
    assert estimate_tokens("a" * 37_000_000) == 10_000_000
    assert estimate_tokens("a" * 37_000_001) == 10_000_001


@given(st.text(), st.text())
def test_a_longer_text_never_counts_less(text: str, more: str) -> None:
    assert estimate_tokens(text) <= estimate_tokens(text + more) <= estimate_tokens(text) + estimate_tokens(more)


@given(st.text(st.sampled_from("ab é字。. \n!\u0301\u200d👩👨🇩🇪\r"), max_size=200), st.integers(-1, 60))
def test_a_truncated_text_is_a_beginning_within_the_budget(text: str, budget: int) -> None:
    truncated = truncate_to_tokens(text, budget)
    assert text.startswith(truncated)
    assert estimate_tokens(truncated) <= max(budget, 0)


def test_a_text_within_the_budget_is_left_alone() -> None:
    text = "Kept as it is.  \n"
    assert truncate_to_tokens(text, estimate_tokens(text)) == text


def test_truncation_prefers_the_end_of_a_sentence() -> None:
    text = "The first sentence stands here complete. The second one is cut"
    assert truncate_to_tokens(text, 13) == "The first sentence stands here complete."
    assert truncate_to_tokens("检索增强生成是一种方法。它很", 13) == "检索增强生成是一种方法。"


def test_truncation_falls_back_to_the_end_of_a_word() -> None:
    assert truncate_to_tokens("none of these words ends a sentence at all", 6) == "none of these words"


def test_truncation_uses_the_budget_when_no_boundary_is_near() -> None:
    assert truncate_to_tokens("x" * 370, 50) == "x" * 185


def test_truncation_never_cuts_an_emoji_sequence() -> None:
    family = "👩‍👩‍👧"
    assert truncate_to_tokens(family * 4, 8) in {family * 2, family}
    assert truncate_to_tokens("e\u0301" * 40, 21) == "e\u0301" * 20
