"""Sentences: whole, in any script, and never across the blocks of a Markdown text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.text.plain_text import as_read
from services.text.sentences import sentences, split_sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


def kinds(text: str) -> list[tuple[str, str]]:
    return [(kind, text[start:end]) for start, end, kind in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Trees grow.", "Do they?", "They do!"],
        ["他走了。", "她没走！", "为什么？"],
        ["「行く。」", "彼は言った。"],
        ["Xin chào!", "Tôi ở TP. Hồ Chí Minh.", "Xem tr. 5."],
        ["Dr. Smith met J. R. Jones.", "It cost 3.14 dollars."],
        ['"Stop."', "He went."],
        ["Wer kann (z. B. heute) kommen?", "Niemand."],
        ["यह वाक्य है।", "दूसरा।"],
        ["Привет.", "Как дела?"],
        ["They use `panic!` here.", "Really."],
    ],
)
def test_a_sentence_ends_where_its_reader_says(parts: list[str]) -> None:
    together = "".join if "。" in parts[0] else " ".join
    assert split(together(parts)) == parts


def test_blocks_of_markdown_are_units() -> None:
    text = (
        "# Title #\n\nOne. Two\ngoes on.\n- item\n- [x] done. Yes.\n\n"
        "| a | b |\n| - | - |\n\n```py\nx = 1. \ny\n```\n> quoted"
    )
    assert kinds(text) == [
        ("heading", "Title"),
        ("prose", "One."),
        ("prose", "Two\ngoes on."),
        ("item", "item"),
        ("item", "done."),
        ("item", "Yes."),
        ("table", "| a | b |"),
        ("table", "| - | - |"),
        ("other", "```py"),
        ("code", "x = 1."),
        ("code", "y"),
        ("other", "```"),
        ("prose", "quoted"),
    ]


@pytest.mark.parametrize(
    ("line", "title"),
    [("# C# and F#", "C# and F#"), ("## Über {#x} ##", "Über"), ("### Set # not", "Set # not"), ("# # a", "# a")],
)
def test_a_heading_is_its_words(line: str, title: str) -> None:
    assert kinds(line) == [("heading", title)]


def test_an_underlined_heading_is_a_heading() -> None:
    assert kinds("Title\n=====\n\nText.") == [("heading", "Title"), ("prose", "Text.")]


@pytest.mark.parametrize(
    "hidden",
    [
        "---\ntitle: x\n---",
        "<!-- one\ntwo -->",
        "<style>\n.a { b: c }\n</style>",
        "![a picture](x.png)",
        "[ref]: https://example.org",
        "***",
        "::: note",
        "/// tip",
        "{{#include x.rs}}",
    ],
)
def test_what_no_reader_would_quote_is_marked(hidden: str) -> None:
    found = kinds(f"{hidden}\n\nText.")
    assert found[-1] == ("prose", "Text.")
    assert {kind for kind, _ in found[:-1]} == {"other"}


def test_a_paragraph_within_a_list_belongs_to_the_list() -> None:
    assert kinds("1. First.\n\n   More.\n\nAfter.") == [("item", "First."), ("item", "More."), ("prose", "After.")]


def test_indented_code_is_code_and_an_indented_item_is_not() -> None:
    assert kinds("Text.\n\n    let x;\n    let y;") == [("prose", "Text."), ("code", "let x;"), ("code", "let y;")]
    assert kinds("- a\n    - b")[1] == ("item", "b")


def test_carriage_returns_are_white_space() -> None:
    assert split("One.\r\nTwo.\r\n\r\n# H\r\n") == ["One.", "Two.", "H"]


@given(st.text(alphabet=st.sampled_from(list("ab. \n#->|`~*!?。中<[]()_1{:/")), max_size=200))
def test_spans_are_in_order_and_lose_nothing_but_marks(text: str) -> None:
    end = 0
    for start, stop, kind in sentences(text):
        assert end <= start < stop <= len(text)
        assert text[start:stop].strip() == text[start:stop]
        assert kind in ("prose", "item", "heading", "table", "code", "other")
        assert not any(map(str.isalpha, text[end:start]))
        end = stop


@pytest.mark.parametrize(
    ("markdown", "read"),
    [
        ("See [the **docs**](https://x.org/a_(b) 'title') now.", "See the docs now."),
        ("A *b* __c__ snake_case_name `*not* [this](x)`.", "A b c snake_case_name `*not* [this](x)`."),
        ("Note[^1] that <br/> ![pic](x.png)this\n> goes on.", "Note that this goes on."),
        ("Escaped \\*stars\\*.", "Escaped *stars*."),
        ("<https://x.org> and [both][ref]", "https://x.org and both"),
        ("2 * 3 * 4", "2 * 3 * 4"),
    ],
)
def test_a_sentence_is_shown_as_it_is_read(markdown: str, read: str) -> None:
    assert as_read(markdown) == read
