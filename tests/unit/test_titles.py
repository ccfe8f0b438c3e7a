"""What a document is called: by its front matter, else by its first heading."""

from __future__ import annotations

import time

import pytest

from interfaces_adaptor.gateways.readers.markdown import TITLE_WITHIN, title_of


@pytest.mark.parametrize(
    ("beginning", "title"),
    [
        pytest.param("---\ntitle: The hive\n---\n# Bees\n", "The hive", id="front matter"),
        pytest.param('---\r\ndate: 1\r\ntitle: "The hive"\r\nx: 2\r\n---\r\n# Bees\r\n', "The hive", id="CRLF"),
        pytest.param("---\ntitle: 'It''s\n---\ntext\n", "It''s", id="a quote within"),
        pytest.param("---\nauthor: me\n---\n\n# Bees ##\n", "Bees", id="front matter without a title"),
        pytest.param("---\ntitle: The hive\n\n# Bees\n", "Bees", id="front matter without an end is none"),
        pytest.param("Some text.\n\n  # Bees\n", "Bees", id="the first heading"),
        pytest.param("## Bees\n\ntitle: none\n", None, id="neither"),
        pytest.param("---\ntitle:\n---\ntext\n", None, id="an empty title"),
    ],
)
def test_a_document_is_called(beginning: str, title: str | None) -> None:
    assert title_of(beginning) == title


@pytest.mark.parametrize("line", ["a: b\r\n", "title: b\r\n", "# # # # #", "--- \t", "\r\n", " "])
def test_no_beginning_takes_long_to_look_through(line: str) -> None:
    began = time.process_time()
    title_of(("---\r\n" + line * TITLE_WITHIN)[:TITLE_WITHIN])
    assert time.process_time() - began < 0.5
