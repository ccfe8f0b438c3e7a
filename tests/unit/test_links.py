"""Links meet the documents that they mean, in whatever form they are written."""

from __future__ import annotations

import time

import pytest

from services.text.links import links_in, names_linked_by

# A link in guides/setup/start.md, and the document that it leads to.
MEETING = [
    ("[[intro]]", "guides/intro.md"),
    ("[[Intro|the words]]", "guides/intro.md"),
    ("![[intro#Part]]", "guides/intro.md"),
    ("[[guides/intro]]", "vault/guides/intro.md"),
    ("[[Caf\u00e9]]", "cafe\u0301.md"),
    ("[x](../intro.md)", "guides/intro.md"),
    ("[x](../intro)", "guides/intro.mdx"),
    ("[x](./other%20one.md#part)", "guides/setup/other one.md"),
    ("[x](<other one.md> 'title')", "guides/setup/other one.md"),
    ("[x](/guides/intro/)", "guides/intro/index.md"),
    ("[x][y]\n\n[y]: ../intro.html", "guides/intro.md"),
]


@pytest.mark.parametrize(("link", "source"), MEETING)
def test_a_link_meets_the_document_that_it_means(link: str, source: str) -> None:
    assert set(links_in(link, "guides/setup/start.md")) & set(names_linked_by(None, source, ()))


@pytest.mark.parametrize(
    "link", ["[x](https://example.org/a.md)", "[x](#part)", "[x](mailto:a@b.c)", "[x]", "[x](//h/a)"]
)
def test_other_links_lead_to_no_document(link: str) -> None:
    assert links_in(link, "a.md") == ()


@pytest.mark.parametrize(("link", "source"), [("[x](intro.md)", "guides/intro.md"), ("[[setup]]", "setup/intro.md")])
def test_a_path_that_is_another_does_not_meet(link: str, source: str) -> None:
    assert not set(links_in(link, "start.md")) & set(names_linked_by(None, source, ()))


def test_an_alias_is_a_name() -> None:
    assert set(links_in("[[fondant]]", None)) & set(names_linked_by("sugar.md", None, ("Fondant",)))


@pytest.mark.parametrize("text", ["[[" * 300_000, "](" * 300_000, "[[a|" * 200_000, "[a]: " * 200_000])
def test_hostile_texts_are_read_in_no_time(text: str) -> None:
    began = time.process_time()
    links_in(text, None)
    assert time.process_time() - began < 4
