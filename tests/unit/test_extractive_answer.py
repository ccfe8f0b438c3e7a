"""Answers that quote: which sentence with what it brings, and when none."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest

from services.retrieval.extractive_answer import overview_quotes, quotes
from services.retrieval.hits import Hit
from services.retrieval.quotable import quotables
from services.retrieval.shape import shape_of
from services.text.words import words
from tests.factories import TOPICS
from utils.tokens import estimate_tokens

RARE, COMMON = 5.0, 0.3


def passage(text: str, *path: str) -> Hit:
    node = uuid.uuid5(uuid.NAMESPACE_URL, text)
    tokens = estimate_tokens(text)
    return Hit(node, "leaf", 0, 0.0, None, text, tokens, "doc", None, path, 0, len(text), (node,))


def summary(text: str) -> Hit:
    return Hit(uuid.uuid4(), "root", 3, 0.0, "All", text, estimate_tokens(text), None, None, (), None, None, ())


def said(question: str, *hits: Hit, common: str = "") -> list[str]:
    """Quotations, where all words of the hits are rare but those of `common`."""
    known = Counter(words(" ".join([*(hit.text for hit in hits), *(" ".join(hit.heading_path) for hit in hits)])))
    rarity = {term: COMMON if term in words(common) else RARE for term in known}
    found = quotes(question, hits, {term: rarity[term] for term in words(question) if term in rarity})
    for quote in found:
        start, end = quote.place or (0, 0)
        assert 0 <= start < end <= len(hits[quote.source].text)
    return [quote.text for quote in found]


LIBRARY = [passage(text, f"About {topic}") for topic, text in TOPICS.items()]


def test_the_sentence_that_answers_is_quoted_word_for_word() -> None:
    assert said("What does a chronometer keep at sea?", *LIBRARY)[0] == "A chronometer keeps time at sea."


def test_titles_above_a_passage_count_for_its_sentences() -> None:
    board, general = passage("The quorum is 16.", "Board"), passage("The quorum is 5.", "General meeting")
    assert said("What is the quorum of the general meeting?", board, general)[0] == "The quorum is 5."


def test_a_rare_word_counts_more_than_several_that_everything_speaks_of() -> None:
    text = "Rust programs use the crates of others in a program. An Rc lets several owners share one value."
    assert said("When should a Rust program use Rc?", passage(text), common="Rust program use")[0].startswith("An Rc")


def test_nothing_is_quoted_where_words_are_shared_by_chance() -> None:
    assert said("Who won the football championship of 1998?", *LIBRARY) == []
    assert said("What is the capital of France?", *LIBRARY) == []
    assert said("How do I bake bread with Rust?", passage("A customer picks the bread of a meal."), common="Rust") == []
    assert said("anything") == []


def test_a_question_of_stop_words_alone_does_not_fail() -> None:
    assert said("what is it?", *LIBRARY) is not None
    assert said("???", *LIBRARY) == []
    assert said("ሰላም", *LIBRARY) == []
    assert said("honey " * 5_000, *LIBRARY) is not None


def test_the_same_sentence_is_quoted_once() -> None:
    found = said("Is rye dough sour?", passage("Rye dough is sour. It rises."), passage("Rye dough is sour. It sinks."))
    assert found == ["Rye dough is sour."]


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (
            "How do I become a member?",
            "To become a member, a person must:\n\n1. work with us for 60 days;\n2. read the handbook.",
            "To become a member, a person must: work with us for 60 days; read the handbook",
        ),
        (
            "How do I make a new project?",
            "Make a new project with this command:\n\n```console\n$ cargo new hello\n```",
            "Make a new project with this command: `$ cargo new hello`",
        ),
        ("Can I bring my dog?", "**Can I bring my dog?**\nNo, because of the petrels.", "No, because of the petrels."),
        (
            "What should I bring along?",
            "## What to bring along\n\n- Warm clothes.\n- Two pairs of shoes.",
            "Warm clothes.; Two pairs of shoes.",
        ),
        (
            "What is the limit of true wind at night?",
            "| Condition | Day | Night |\n| --- | --- | --- |\n| True wind | 25 kn | 18 kn |",
            "True wind, Day: 25 kn, Night: 18 kn",
        ),
    ],
    ids=["list", "code", "frequent question", "heading", "table"],
)
def test_what_a_line_stands_before_comes_with_it(question: str, text: str, answer: str) -> None:
    assert said(question, passage(text, "Limits"))[0] == answer


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("What is a crate?", "The crate was moved. A crate is a unit of compilation. Each crate counts.", "A crate is"),
        ("How many members are there?", "Members are welcome. There are 31 members.", "There are 31"),
        (
            "May visitors sail?",
            "Visitors sail with the crew in view. Visitors may not sail at night.",
            "Visitors may not",
        ),
    ],
)
def test_an_answer_looks_like_what_was_asked_for(question: str, text: str, answer: str) -> None:
    assert said(question, passage(text))[0].startswith(answer)


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ("What is ownership?", "definition"),
        ("Was ist ein Anker?", "definition"),
        ("锚是什么？", "definition"),
        ("How many days?", "number"),
        ("Combien coûte une part ?", "number"),
        ("¿Cuándo sale el barco?", "number"),
        ("How do I install it?", "steps"),
        ("怎么安装？", "steps"),
        ("Darf man rauchen?", "yes or no"),
        ("可以抽烟吗？", "yes or no"),
        ("Who wrote it", "any"),
        ("", "any"),
    ],
)
def test_the_shape_of_an_answer_follows_from_the_question(question: str, shape: str) -> None:
    assert shape_of(question) == shape


def test_code_that_is_not_here_is_not_brought() -> None:
    text = "Here is the error:\n\n```\n{{#include ../listing.rs}}\n```\n\nThe program does not compile."
    assert [one.text for one in quotables(text)] == ["Here is the error:", "The program does not compile."]


def test_a_whole_is_answered_by_its_summary_first_the_whole_then_a_line_a_section() -> None:
    root = summary("The cooperative runs one ship. It has a house.\nEngine: Agnes is the engine!\nPay · Watches")
    found = overview_quotes([root, LIBRARY[0]])
    assert [quote.text for quote in found] == [
        "The cooperative runs one ship.",
        "It has a house.",
        "Engine: Agnes is the engine!",
        "Pay · Watches",
    ]
    assert overview_quotes([LIBRARY[0]])[0].place is not None
    assert overview_quotes([]) == []
