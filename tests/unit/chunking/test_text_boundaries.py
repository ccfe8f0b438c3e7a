from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.boundaries import grapheme_floor, sentence_ends


def sentences(text: str, least: int = 1) -> list[str]:
    cuts = [0, *sentence_ends(text, least=least), len(text)]
    return [text[start:end].strip() for start, end in pairwise(cuts)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One ends here.", "Another one?", "A third!", "And the last"],
        ['He said: "Stop."', "Then he left."],
        ["Dr. Smith met J. R. R. Tolkien, e.g. in Oxford.", "They talked."],
        ["See no. 5 and p. 12.", "He said no.", "Then he left."],
        ["Version 2.0 costs 3.50 now.", "Use `panic!` here.", "Really?!", "Yes."],
        ["It goes on… and on.", "Stops here..."],
        ["Ông sống ở TP. Hồ Chí Minh.", "ThS. Nam đến từ Huế.", "Đúng vậy!"],
        ["Привет, мир.", "Как дела?", "Хорошо."],
        ["שלום עולם.", "מה שלומך?"],
        ["مرحبا بالعالم؟", "نعم."],
        ["यह एक वाक्य है।", "यह दूसरा है।"],
    ],
)
def test_sentences_of_scripts_with_spaces(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["这是第一句。", "他说：“你好。”", "真的吗？", "是的！"],
        ["これは文です。", "「はい。」", "と言った。"],
    ],
)
def test_sentences_of_scripts_without_spaces(expected: list[str]) -> None:
    assert sentences("".join(expected)) == expected


def test_the_number_of_a_list_item_is_no_sentence() -> None:
    assert sentences("1. First item.\n2. Second item.") == ["1. First item.", "2. Second item."]


def test_short_sentences_stay_with_the_next() -> None:
    assert sentences("Yes. No. This one is long enough. Yes.", least=20) == [
        "Yes. No. This one is long enough.",
        "Yes.",
    ]


@given(st.text(st.sampled_from("ab .!?。」\n\r\"'*"), max_size=80), st.integers(0, 80), st.integers(0, 80))
def test_sentence_ends_are_ordered_and_inside_the_range(text: str, start: int, end: int) -> None:
    ends = list(sentence_ends(text, start, end))
    assert ends == sorted(set(ends))
    assert all(start < position < min(end, len(text)) for position in ends)


@pytest.mark.parametrize(
    "cluster",
    ["e\u0301", "\r\n", "👩‍👩‍👧", "👍🏽", "☝️", "🇩🇪", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "각", "नि", "\ud83d\ude00"],
)
def test_a_cut_moves_to_the_front_of_a_cluster(cluster: str) -> None:
    text = f"ab{cluster}cd"
    for inside in range(3, 2 + len(cluster)):
        assert grapheme_floor(text, inside) == 2
    assert grapheme_floor(text, 2) == 2
    assert grapheme_floor(text, 2 + len(cluster)) == 2 + len(cluster)


def test_flags_are_cut_in_pairs() -> None:
    assert [grapheme_floor("🇩🇪🇻🇳🇯🇵", position) for position in range(7)] == [0, 0, 2, 2, 4, 4, 6]


def test_an_endless_cluster_is_cut_all_the_same() -> None:
    assert grapheme_floor("e" + "\u0301" * 1000, 500) == 500


@given(st.text(), st.integers(0, 50))
def test_the_floor_is_never_above_the_position(text: str, position: int) -> None:
    assert 0 <= grapheme_floor(text, position) <= position
