"""What every reader of a source format promises."""

from __future__ import annotations

import pytest

from interfaces_adaptor.gateways.readers import READERS
from services.errors import EmptyDocument, InvalidEncoding
from services.ingest.reader import Reader

readers = pytest.mark.parametrize("reader", [pytest.param(reader, id=suffix) for suffix, reader in READERS.items()])


@readers
def test_the_text_is_what_stands_in_the_file(reader: Reader) -> None:
    read = reader.read("# Tên\n\nMột dòng.\n".encode())
    assert read.text == "# Tên\n\nMột dòng.\n"
    assert read.title == "Tên"


@readers
def test_a_byte_order_mark_is_no_text(reader: Reader) -> None:
    assert reader.read(b"\xef\xbb\xbfplain words").text == "plain words"


@readers
@pytest.mark.parametrize("data", [b"\xff\xfeh\x00i\x00", b"caf\xe9", b"a\x00b", b"\xed\xa0\x80"])
def test_what_is_not_utf_8_or_holds_nul_is_refused(reader: Reader, data: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        reader.read(data)


@readers
@pytest.mark.parametrize("data", [b"", b" \n\t\n", "\u3000\n".encode()])
def test_nothing_but_white_space_is_refused(reader: Reader, data: bytes) -> None:
    with pytest.raises(EmptyDocument):
        reader.read(data)


TITLED = {
    '---\ntags: [a]\ntitle: "Of bees"\n---\n# Other\n': "Of bees",
    "---\r\ntitle: 'Of bees'\r\n---\r\ntext\r\n": "Of bees",
    "---\ntitle: never closed\n# Heading #\n": "Heading",
    "---\ntitle:\n---\n\n  # Heading\n": "Heading",
    "## Second level\n\nwords\n": "Second level",
    "words\n---\ntitle: no front matter\n---\n": "words",
    "#hashtag\n# \n# Real\n": "Real",
}


@readers
@pytest.mark.parametrize(("text", "title"), TITLED.items())
def test_the_title_is_what_the_document_calls_itself(reader: Reader, text: str, title: str | None) -> None:
    assert reader.read(text.encode()).title == title


@readers
def test_a_front_matter_that_never_ends_is_read_in_no_time(reader: Reader) -> None:
    """With CRLF a single pattern for it took 2^n steps, in the process that answers everybody."""
    for line in ("key: value\r\n", "\r\n", "\r\r\n", "title: a\r\n", "# #\r\n", "\t \t\n"):
        assert reader.read(("---\r\n" + line * 4_000 + "end").encode()).text
