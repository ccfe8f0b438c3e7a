"""Summaries of many passages by their sections: what they say first, what they name, what they are called."""

from __future__ import annotations

import uuid

from services.text.sentences import read_sentences
from services.text.subjects import Section, Subject, titles, told
from services.tree.nodes import Leaf
from services.tree.sections import parts_of
from utils.tokens import estimate_tokens

SHIP = "The cooperative runs one ship and one house. The ship is a ketch from Strandhithe. It has two masts."
ENGINE = "Agnes is the engine of the ship.\n\nFigure 2: The engine from the side."
LINKS = "[Engine](engine.md)\n[Pay](pay.md)\n[Index](index.md)"
HANDBOOK = Subject(
    "handbook",
    LINKS,
    (
        Section("Contents", LINKS, 1),
        Section("Who we are", SHIP, 9),
        Section("Engine", ENGINE, 12),
        Section("Pay", "|", 2),
    ),
    is_one=False,
)


def leaf(place: int, document: str, *path: str) -> Leaf:
    return Leaf(
        uuid.UUID(int=place), uuid.UUID(int=0), document, f"source:docs/{document}.md", place, 100, f"{place:064}", path
    )


def test_a_whole_says_first_what_it_is_and_then_what_its_sections_are() -> None:
    lines = told(HANDBOOK, 200).split("\n")
    assert lines[0].startswith("The cooperative runs one ship and one house.")
    assert "Engine: Agnes is the engine of the ship." in lines
    assert lines[-1] == "Contents · Pay"
    assert "Figure" not in told(HANDBOOK, 200)


def test_a_small_budget_is_kept_and_names_come_before_more_sentences() -> None:
    for budget in (40, 60, 100):
        assert 0 < estimate_tokens(told(HANDBOOK, budget)) <= budget
    assert "Engine" in told(HANDBOOK, 60)


def test_without_a_sentence_to_show_there_is_no_such_summary() -> None:
    assert told(Subject("Links", LINKS, (Section("More", LINKS, 3),)), 200) == ""


def test_one_document_is_told_from_its_own_opening() -> None:
    one = Subject("Who we are", SHIP, (Section("Engine", ENGINE, 90),))
    assert told(one, 200).startswith("The cooperative runs one ship and one house.")


def test_a_title_is_the_name_of_the_whole_else_of_its_largest_sections() -> None:
    assert titles(HANDBOOK)[0] == "handbook"
    unnamed = Subject("", SHIP, (Section("Watches", SHIP, 5), Section("Engine", SHIP, 6), Section("Overview", SHIP, 9)))
    assert titles(unnamed)[0] == "Engine, Watches"


def test_leaves_of_several_documents_are_told_apart_by_documents_and_those_of_one_by_sections() -> None:
    several = parts_of([leaf(0, "ship", "The ship"), leaf(1, "ship", "The ship", "Sails"), leaf(2, "pay_and-leave")])
    assert (several.title, several.is_one) == ("", False)
    assert [(part.title, part.leaves) for part in several.parts] == [("The ship", 2), ("pay and leave", 1)]
    one = parts_of(
        [leaf(0, "ship", "The ship"), leaf(1, "ship", "The ship", "Sails"), leaf(2, "ship", "The ship", "Sails")]
    )
    assert (one.title, one.is_one) == ("The ship", True)
    assert [(part.title, part.leaves) for part in one.parts] == [("Sails", 2)]
    assert parts_of([leaf(0, "log_book")]).title == "log book"
    opened = parts_of([leaf(0, "a", "Futures"), *(leaf(place, "a", "Futures", "A program") for place in range(1, 9))])
    assert opened.title == "Futures"


def test_tags_over_several_lines_are_no_sentences() -> None:
    text = '<img alt="One with the\nstack and one with the heap."\nsrc="a.svg" />\n\nOwnership is a set of rules.'
    assert [one.shown for one in read_sentences(text) if one.kind == "prose"] == ["Ownership is a set of rules."]
