from __future__ import annotations

import pytest

from services.chunking.titles import MAX_TITLE, plain_title


@pytest.mark.parametrize(
    ("markdown", "title"),
    [
        ("Plain", "Plain"),
        ("`__init__` and **bold** text", "__init__ and bold text"),
        ("*a* _b_ ***c*** __d__ ~~e~~", "a b c d e"),
        ("snake_case_name stays, 2 * 3 * 4 too", "snake_case_name stays, 2 * 3 * 4 too"),
        ("[link](https://example.org/a_(b)) text", "link text"),
        ("[`Vec<T>`](struct.Vec.html)", "Vec<T>"),
        ("[![build](badge.svg)](https://example.org) Name", "build Name"),
        ("[text][reference] after", "text after"),
        ("List[str] and [1.2.0] - 2020", "List[str] and [1.2.0] - 2020"),
        ("<https://example.org>", "https://example.org"),
        ('<a name="x"></a>Anchored <kbd>Ctrl</kbd>', "Anchored Ctrl"),
        ("AT&amp;T &lt;3", "AT&T <3"),
        (r"\*not emphasis\* \# C\#", "*not emphasis* # C#"),
        ("What is it? { #what-is-it }", "What is it?"),
        ("Hooks {: #hooks .wide}", "Hooks"),
        ("Título {#id}", "Título"),
        ("MDX {/* #id */}", "MDX"),
        ("Set {a, b}", "Set {a, b}"),
        ("two\nlines", "two lines"),
        ("  wide \t space  ", "wide space"),
        ("Xin chào *thế giới*", "Xin chào thế giới"),
        ("``a ` b``", "a ` b"),
        ("", ""),
        ("**", "**"),
    ],
)
def test_a_title_is_the_words_that_a_reader_sees(markdown: str, title: str) -> None:
    assert plain_title(markdown) == title


def test_a_title_is_bounded_and_not_cut_inside_a_character() -> None:
    assert plain_title("x" * 5000) == "x" * MAX_TITLE
    assert plain_title("e\u0301" * 5000) == "e\u0301" * (MAX_TITLE // 2)


@pytest.mark.parametrize("bait", ["[", "]", "(", "![", "`", "*", "_", "~~", "<", "<!--", "\\", "&", "{#", "[a]("])
def test_no_title_takes_long(bait: str) -> None:
    assert len(plain_title(bait * 100_000)) <= MAX_TITLE
