"""Answers that quote: which sentence, and when none."""

from __future__ import annotations

from services.retrieval.extractive_answer import quotes
from tests.factories import TOPICS

TEXTS = list(TOPICS.values())
PATHS = [(topic,) for topic in TOPICS]
TOPIC = list(TOPICS)


def test_the_sentence_that_answers_is_quoted_word_for_word() -> None:
    found = quotes("What does a chronometer keep at sea?", TEXTS, PATHS)
    assert found[0].text == "A chronometer keeps time at sea."
    assert TOPIC[found[0].source] == "clocks"


def test_titles_above_a_passage_count_for_its_sentences() -> None:
    texts = ["The quorum is 16.", "The quorum is 5."]
    found = quotes("What is the quorum of the general meeting?", texts, [("Board",), ("General meeting",)])
    assert found[0].text == "The quorum is 5."


def test_nothing_is_quoted_where_nothing_is_about_the_question() -> None:
    assert quotes("Who won the football championship of 1998?", TEXTS, PATHS) == []
    assert quotes("What is the capital of France?", TEXTS, PATHS) == []
    assert quotes("anything", [], []) == []


def test_a_question_of_stop_words_alone_does_not_fail() -> None:
    assert quotes("what is it?", TEXTS, PATHS) is not None
    assert quotes("???", TEXTS, PATHS) == []


def test_the_same_sentence_is_quoted_once() -> None:
    texts = ["Rye dough is sour. It rises.", "Rye dough is sour. It sinks."]
    found = quotes("Is rye dough sour?", texts, [(), ()])
    assert [quote.text for quote in found] == ["Rye dough is sour."]
