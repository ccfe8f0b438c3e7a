"""Citations as models write them, and what in a source a statement stands on."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.citations import ClaimReader, claims_of, overlap, support_in

SOURCE = (
    "# Anchors\n\nAn anchor holds a ship by its flukes. The chain's weight keeps the pull level.\n\n"
    "- A bower anchor hangs at the bow.\n- It weighs 420 kg.\n"
)


@pytest.mark.parametrize(
    ("answer", "claims"),
    [
        ("A ship has one [1]. It is heavy [2][3].", [("A ship has one.", (1,)), ("It is heavy.", (2, 3))]),
        ("A ship has one. [1] It is heavy. [2]", [("A ship has one.", (1,)), ("It is heavy.", (2,))]),
        ("It holds [1, 3] well [1].", [("It holds well.", (1, 3))]),
        ("It holds [2-4].", [("It holds.", (2, 3, 4))]),
        ("It holds [Source 2].", [("It holds.", (2,))]),
        ("船有锚[1]。它很重【2】。", [("船有锚。", (1,)), ("它很重。", (2,))]),
        ("Neo giữ tàu [1]. Dây nặng [2].", [("Neo giữ tàu.", (1,)), ("Dây nặng.", (2,))]),
        ("- one [1]\n- two", [("one", (1,)), ("two", ())]),
        ("Nothing is cited here.", [("Nothing is cited here.", ())]),
        ("Use `a[1]`, see [1](http://x.test).", [("Use `a[1]`, see [1](http://x.test).", ())]),
        ("It costs 3.50 (see 2.1) [1], says he.", [("It costs 3.50 (see 2.1), says he.", (1,))]),
        ("", []),
        ("[1]", []),
        ("[9999-1]", []),
    ],
)
def test_a_marker_belongs_to_the_sentence_before_it(answer: str, claims: list[tuple[str, tuple[int, ...]]]) -> None:
    found = claims_of(answer)
    assert [(claim.text, claim.numbers) for claim in found] == claims


def test_a_claim_says_where_it_stands_with_its_markers() -> None:
    answer = "A ship has one [1]. It is heavy. [2]"
    assert [answer[claim.start : claim.end] for claim in claims_of(answer)] == [
        "A ship has one [1].",
        "It is heavy. [2]",
    ]


@given(
    st.lists(st.sampled_from(["It holds [1]. ", "Heavy[2][3]. ", "So. [4] ", "And\n", "锚【5】。", "[", "] ", "a [1"]))
)
def test_an_answer_in_parts_gives_the_claims_in_order_and_none_twice(parts: list[str]) -> None:
    reader = ClaimReader()
    answer = "".join(parts)
    claims = [claim for letter in answer for claim in reader.feed(letter)] + reader.rest()
    assert all(before.end <= after.start for before, after in pairwise(claims))
    numbers = [number for claim in claims for number in claim.numbers]
    assert set(numbers) == {number for claim in claims_of(answer) for number in claim.numbers}


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("The pull is kept level by the weight of the chain.", "The chain's weight keeps the pull level."),
        ("It weighs 420 kg.", "It weighs 420 kg."),
        (
            "Flukes hold the ship, and the chain keeps the pull level.",
            "An anchor holds a ship by its flukes. The chain's weight keeps the pull level.",
        ),
    ],
)
def test_support_is_the_sentences_that_say_it_and_no_more(claim: str, said: str) -> None:
    span = support_in(claim, SOURCE)
    assert span is not None
    assert SOURCE[slice(*span)] == said


def test_what_a_source_does_not_speak_of_has_no_support_in_it() -> None:
    assert support_in("Bees make honey.", SOURCE) is None
    assert overlap("Bees make honey.", SOURCE) == 0
    assert overlap("An anchor holds a ship.", SOURCE) == 1
