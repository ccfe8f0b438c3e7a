"""Noise that needs no model: what is left out, and what has to stay."""

from __future__ import annotations

import pytest

from services.chunking.document import parse_markdown
from services.chunking.guards import may_be_dropped
from services.chunking.noise import noise

PARAGRAPH = "The hive stands by the wall and the bees fly over the meadow in the morning, when it is warm enough."


def dropped(source: str) -> list[str]:
    return [source[start:end] for start, end in noise(parse_markdown(source))]


def pages(*lines: str) -> str:
    """A text of paragraphs with these lines between them, each by itself."""
    return "\n\n".join([PARAGRAPH, *(f"{line}\n\n{PARAGRAPH} {PARAGRAPH}" for line in lines)])


def test_page_numbers_that_count_are_dropped() -> None:
    assert dropped(pages("1", "2", "3")) == ["1", "2", "3"]
    assert dropped(pages("Page 7 of 12", "Page 8 of 12", "Page 9 of 12")) == [
        "Page 7 of 12",
        "Page 8 of 12",
        "Page 9 of 12",
    ]
    assert dropped(pages("– 3 –", "第4页", "trang 6")) == ["– 3 –", "第4页", "trang 6"]


def test_a_page_number_within_a_paragraph_of_a_conversion_is_dropped() -> None:
    broken = "\n".join(f"{PARAGRAPH}\n{number}\n{PARAGRAPH}" for number in (4, 5, 6))
    assert dropped(broken) == ["4", "5", "6"]


@pytest.mark.parametrize("lines", [("7", "3", "9"), ("2", "3"), ("1904", "1912", "1950"), ("42",)])
def test_numbers_that_do_not_count_pages_stay(lines: tuple[str, ...]) -> None:
    assert dropped(pages(*lines)) == []


def test_a_header_of_every_page_stays_where_it_stands_first() -> None:
    source = pages(*["The Brindle Tern Handbook"] * 5)
    assert dropped(source) == ["The Brindle Tern Handbook"] * 4
    assert noise(parse_markdown(source))[0][0] > source.index("The Brindle Tern Handbook")


@pytest.mark.parametrize(
    "line",
    [
        "This operator is left associative.",  # a statement, and true of each
        "For example:",
        "Example",
        "**Return value**",
        "[Back to the contents](#contents)",
        "Version 3 of the handbook",
        "Call `bees()` again",
    ],
)
def test_lines_that_come_again_but_say_something_stay(line: str) -> None:
    assert dropped(pages(*[line] * 6)) == []


def test_what_is_alone_under_its_heading_or_above_its_figure_stays() -> None:
    assert dropped("\n\n".join(f"## Part {n}\n\nNot yet known\n\n" for n in "abcdef") + PARAGRAPH * 9) == []
    assert dropped(pages(*["A longer caption\n\n```\ncode\n```"] * 6)) == []


@pytest.mark.parametrize(
    "line",
    ["Skip to content", "Back to top", "Previous | Next", "Accept all cookies", "返回顶部", "Home > Handbook > Safety"],
)
def test_menus_and_buttons_are_dropped(line: str) -> None:
    assert dropped(pages(line)) == [line]


@pytest.mark.parametrize(
    "source",
    [
        f"{PARAGRAPH}\n\n```\nBack to top\n\n1\n\n2\n\n3\n```\n\n{PARAGRAPH}",
        f"{PARAGRAPH}\n\n| Back to top |\n|---|\n| 1 |\n\n{PARAGRAPH}",
        f"# Back to top\n\n{PARAGRAPH}",
        f"{PARAGRAPH}\n\nHome > Acme Corporation > Riga\n\nGo to Home > Settings > Privacy\n\n{PARAGRAPH}",
        f"---\ntitle: Back to top\n---\n\n{PARAGRAPH}",
    ],
)
def test_code_tables_headings_and_names_stay(source: str) -> None:
    assert dropped(source) == []


def test_a_document_that_would_lose_too_much_loses_nothing() -> None:
    assert dropped("\n\n".join(["Short text.", "Back to top"] * 10)) == []


@pytest.mark.parametrize(
    ("kind", "text", "droppable"),
    [
        ("paragraph", "Skip to content", True),
        ("paragraph", "Home | Docs | About", True),
        ("paragraph", "we use cookies to make this site better for you", True),
        ("list_item", "- previous page", True),
        ("fence", "skip to content", False),
        ("table", "skip", False),
        ("heading", "# skip", False),
        ("paragraph", "It costs 12 euros", False),
        ("paragraph", "٣ pumps", False),
        ("paragraph", "二十五个泵", False),
        ("paragraph", "ask Abara about it", False),
        ("paragraph", "hỏi Đặng về điều đó", False),
        ("paragraph", "see example.org for more", False),
        ("paragraph", "[more](more.md)", False),
        ("paragraph", "run `make`", False),
        ("paragraph", "write to cook@ship", False),
    ],
)
def test_what_a_model_may_drop(kind: str, text: str, droppable: bool) -> None:
    assert may_be_dropped(kind, text) is droppable
