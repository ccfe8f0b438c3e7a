"""What a document says about itself, in the forms that people write."""

from __future__ import annotations

import time
from typing import Any

import pytest

from services.ingest.metadata import described, file_title
from services.text.front_matter import MOST_CHARACTERS

FIELDS: dict[str, Any] = {
    "title: Of bees # a comment": {"title": "Of bees"},
    "title: >-\n  A long title\n  over two lines": {"title": "A long title over two lines"},
    "text: |\n  one\n  two": {"text": "one\ntwo\n"},
    "a:\n  b:\n    c: 1": {"a": {"b": {"c": 1}}},
    "list:\n- 1\n- two\n- 3.5": {"list": [1, "two", 3.5]},
    "flow: [a, 'b c', \"d\"]": {"flow": ["a", "b c", "d"]},
    "lang: no": {"lang": "no"},
    "time: 12:30": {"time": "12:30"},
    "id: 007": {"id": "007"},
    "on: yes": {"on": "yes"},
    "draft: true\nempty:\nnull: ~": {"draft": True, "empty": None, "null": None},
    "quoted: '2024'": {"quoted": "2024"},
    "date: 2024-1-5": {"date": "2024-01-05"},
    "date: 2024-01-05T23:30:00-02:00": {"date": "2024-01-06T01:30:00"},
    "date: 2024-02-30": {"date": "2024-02-30"},
    "large: 123456789012345678901234567890": {"large": "123456789012345678901234567890"},
    "inf: .inf\nnan: .nan": {"inf": ".inf", "nan": ".nan"},
    "2024-01-01: a\n1: b": {"2024-01-01": "a", "1": "b"},
    'a: "x\\0y"': {"a": "xy"},
    "a: &x one\nb: *x": {"a": "one", "b": "one"},
    "a: !!str 5": {"a": 5},
    "ключ: значение": {"ключ": "значение"},
}


@pytest.mark.parametrize(("fields", "values"), FIELDS.items())
def test_yaml_is_read_as_people_mean_it(fields: str, values: dict[str, Any]) -> None:
    read = described(f"---\n{fields}\n---\n\nText.\n")
    assert (read.meta, read.warnings) == (values, ())


TOML: dict[str, Any] = {
    'title = "Boats"': {"title": "Boats"},
    "date = 2024-01-05": {"date": "2024-01-05"},
    "date = 2024-01-05T10:00:00+02:00": {"date": "2024-01-05T08:00:00"},
    "at = 10:30:00": {"at": "10:30:00"},
    "tags = ['a', 'b']\n[params]\nweight = 3": {"tags": ["a", "b"], "params": {"weight": 3}},
    "n = inf": {"n": "inf"},
}


@pytest.mark.parametrize(("fields", "values"), TOML.items())
def test_toml_is_read(fields: str, values: dict[str, Any]) -> None:
    read = described(f"+++\n{fields}\n+++\n\nText.\n".replace("\n", "\r\n"))
    assert (read.meta, read.warnings) == (values, ())


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("---\ntags: [a, '#b']\n---\nx", ("a", "b")),
        ("---\ntags: a, b c\n---\nx", ("a", "b c")),
        ("---\ntags: a b\n---\nx", ("a", "b")),
        ("---\ntag: a\n---\nx", ("a",)),
        ("---\ntags: [Winter]\n---\nIt is #winter and #cold/very.", ("Winter", "cold/very")),
        ("Words #tag, (#no) a#no #1 #fff #ff0000 # no `#code` #café", ("tag", "café")),
        ("```\n#code\n```\n\n    #code\n\n$$\n#math\n$$\n\n- item #item\n\n> quote #quote", ("item", "quote")),
        ("- a\n\n  ```\n  #code\n  ```\n\n  #after", ("after",)),
        ("# Heading #head\n\n[a](#anchor) https://example.org/#part", ("head",)),
    ],
)
def test_tags_are_those_of_the_front_matter_and_those_between_words(text: str, tags: tuple[str, ...]) -> None:
    assert described(text).tags == tags


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Learning C#\n", "Learning C#"),
        ("# F# #\n", "F#"),
        ("```sh\n# no\n```\n\nReal Title\n==========\n", "Real Title"),
        ("<h1 align='center'>A <b>page</b></h1>\n", "A page"),
        ("<!-- # no -->\n\n## Second\n", "Second"),
        ("\ufeff# Marked\n", "Marked"),
        ("$$\na\n=\nb\n$$\n\n# After\n", "After"),
        ("---\ntitle: 2024\n---\n# Other\n", "2024"),
        ("---\ntitle: ''\n---\n# Other\n", "Other"),
        ("---\ntitle: a: b\n---\n\n# Other\n", "Other"),
        ("---\n" + "a: b\n" * 30_000 + "---\n\n# Far\n", "Far"),
        ("no heading\n", None),
    ],
)
def test_the_title_is_front_matters_or_the_first_real_heading(text: str, title: str | None) -> None:
    assert described(text).title == title


@pytest.mark.parametrize(
    ("name", "title"),
    [("Zanzibar trip.md", "Zanzibar trip"), ("a/b.c.md", "b.c"), ("---.md", None), (None, None), ("a\tb.md", "a b")],
)
def test_a_file_has_the_title_of_its_name(name: str | None, title: str | None) -> None:
    assert file_title(name) == title


@pytest.mark.parametrize(
    "text",
    [
        "---\n" + "a: b\n" * 400_000 + "---\n",
        "---\na: " + "[" * 60_000 + "\n---\n",
        "---\na: " + "{a: " * 15_000 + "\n---\n",
        "---\n" + "".join(f"k{n}: [{', '.join(['1'] * 20)}]\n" for n in range(800)) + "---\n",
        "+++\na = " + "[" * 60_000 + "\n+++\n",
        "---\na: b\n" + "\n" * 500_000,
        "#a " * 300_000,
    ],
)
def test_hostile_front_matter_is_refused_in_no_time(text: str) -> None:
    began = time.process_time()
    described(text)
    assert time.process_time() - began < 4


def test_front_matter_that_is_too_long_is_named_so() -> None:
    [warning] = described("---\na: " + "x" * MOST_CHARACTERS + "\n---\n\nText\n").warnings
    assert "65,536 characters" in warning
