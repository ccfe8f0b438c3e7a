"""Tokens are those of a real vocabulary: the counts here were published by its makers."""

from __future__ import annotations

import pytest

from fake_provider.tokens import count_tokens, first_tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("antidisestablishmentarianism", 6), ("2 + 2 = 4", 7), ("お誕生日おめでとう", 8)]
)
def test_tokens_are_those_of_o200k(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_a_beginning_keeps_within_its_tokens_and_ends_with_a_whole_character() -> None:
    text = "The cook found 🧠 and 東京の天気 in his soup. " * 5
    for limit in range(count_tokens(text) + 2):
        beginning = first_tokens(text, limit)
        assert text.startswith(beginning)
        assert count_tokens(beginning) <= limit
    assert beginning == text


def test_half_of_a_surrogate_pair_is_counted_too() -> None:
    assert count_tokens("\ud83e") > 0
    assert first_tokens("\ud83e", 0) == ""
