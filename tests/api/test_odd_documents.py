"""Documents that are odd and yet documents: they go in whole."""

from __future__ import annotations

import pytest

from tests.client import ApiClient

CASES = {
    "a single word": "word",
    "front matter only": "---\ntitle: Nothing else\ntags: [a, b]\n---\n",
    "CRLF": "# Title\r\n\r\nFirst line.\r\nSecond line.\r\n",
    "a byte order mark": "\ufeff# Title\n\nText after a mark.\n",
    "an unclosed code fence": "# Title\n\nBefore.\n\n```python\nprint('never closed')\n\n# no heading\n\nlast words\n",
    "a table of 10,000 rows": "# T\n\n| a | b |\n| - | - |\n"
    + "".join(f"| {i} | value {i} |\n" for i in range(10_000)),
    "50,000 headings": "".join(f"# H{i}\n" for i in range(50_000)),
    "emoji and a language from right to left": "# 👩‍👩‍👧 עברית\n\nשלום עולם 👍🏽 e\u0301\n",
}


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("name", CASES)
async def test_an_odd_document_goes_in_whole(api: ApiClient, name: str) -> None:
    text = CASES[name]

    await api.ingest(text, doc_id="odd", build_tree="false")

    document = await api.data("/v1/documents/odd")
    stored = document["text"]
    assert stored == text.removeprefix("\ufeff")
    covered = bytearray(len(stored))
    cursor: str | None = None
    count = 0
    while True:
        page = await api.data("/v1/documents/odd/chunks", limit=500, **({"cursor": cursor} if cursor else {}))
        for chunk in page["items"]:
            assert chunk["text"] == stored[chunk["start"] : chunk["end"]]
            assert chunk["idx"] == count
            covered[chunk["start"] : chunk["end"]] = b"\1" * (chunk["end"] - chunk["start"])
            count += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert count == document["chunks"]
    assert not [letter for letter, seen in zip(stored, covered, strict=True) if not seen and not letter.isspace()]


@pytest.mark.usefixtures("running")
async def test_a_file_that_is_one_line_of_12_megabytes_goes_in(api: ApiClient) -> None:
    line = ("".join(f"word{i % 50_000} " for i in range(1_200_000)))[: 12 * 1024 * 1024]
    data = await api.ingest(line, doc_id="line", build_tree="false")
    assert data["chunks"] > 9_000
