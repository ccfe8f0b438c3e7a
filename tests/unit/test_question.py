"""What a question's wording says: one about a whole or about something in it, what it names, what it is ranked by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from services.retrieval.hits import Filters
from services.retrieval.question import named, read_question
from services.retrieval.scope import Scope, most_surely_named
from utils.names import spoken_name

KINDS = Path(__file__).with_name("question_kinds.jsonl")
# To reach, on the half of the questions that the words were not chosen on.
LEAST_RIGHT = 0.95


def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in KINDS.read_text(encoding="utf-8").splitlines()]


def headings() -> dict[str, list[Scope]]:
    return {
        row["language"]: [Scope(Filters(), name=name) for name in row["headings"]]
        for row in rows()
        if "headings" in row
    }


def is_held_out(question: str) -> bool:
    return hashlib.sha256(question.encode()).digest()[0] % 2 == 1


@pytest.mark.parametrize("held_out", [False, True], ids=["tuned on", "held out"])
def test_the_kind_of_a_question_and_its_scope_are_read_right_in_seven_languages(held_out: bool) -> None:
    scopes = headings()
    questions = [row for row in rows() if "question" in row and is_held_out(row["question"]) == held_out]
    wrong = []
    for row in questions:
        asked = read_question(row["question"])
        scope = most_surely_named(asked, scopes[row["language"]]) if asked.whole and asked.topic else None
        whole = asked.whole and (not asked.topic or scope is not None)
        if (row["kind"] == "whole") != whole or (scope.name if scope else None) != row.get("scope"):
            wrong.append(row["question"])
    assert len(questions) >= 100
    assert len({row["language"] for row in questions}) >= 6
    assert len(wrong) <= (1 - LEAST_RIGHT) * len(questions), wrong


@pytest.mark.parametrize(
    ("question", "ranked_by"),
    [
        ("Summarize the discussion about solar panels", "solar panels"),
        ("Please describe the HashMap type", "HashMap type"),
        ("What keeps time, according to the text?", "What keeps time ?"),
        ("Erkläre die Wachen", "Wachen"),
        ("How do I write a summary?", "How do I write a summary?"),
        ("Summarise", "Summarise"),
    ],
)
def test_orders_do_not_rank_passages(question: str, ranked_by: str) -> None:
    assert read_question(question).text == ranked_by


def test_the_name_that_the_question_says_whole_wins() -> None:
    asked = read_question("What is the chapter on ownership about?")
    scopes = [Scope(Filters(), name=name) for name in ("Ownership and Functions", "What Is Ownership?", "Lifetimes")]
    assert most_surely_named(asked, scopes) == scopes[1]
    assert most_surely_named(asked, scopes[2:]) is None
    assert named(asked, "Lifetimes") == 0


def test_questions_of_any_length_and_script_are_read() -> None:
    for question in ("the", "?", "a " * 5_000, "what book " * 800, "ሰላም ምንድን ነው", "☃"):
        assert not read_question(question).whole
        assert read_question(question).text == question


def test_a_file_is_called_by_the_words_of_its_name() -> None:
    assert spoken_name("guides/04-engine_and_electrics.md") == "04 engine and electrics"
