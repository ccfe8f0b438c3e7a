"""What is no language is one mark to models, and stays where it stands."""

from __future__ import annotations

import base64
import hashlib
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces_adaptor.gateways.readers import READERS
from services.chunking import chunk_markdown
from services.chunking.refine import draft_of, heuristic
from services.cost.estimate import chunked_upload
from services.domain import ChunkingParams
from services.ingest.upload import Upload
from services.text.passage_text import for_models, indexed_passage, names_of
from services.text.payload import payload_spans, thin, without_payload
from tests.unit.chunking.invariants import assert_sound
from utils.tokens import estimate_tokens

NOISE = random.Random(7).randbytes(6_000)
ENCODED = base64.b64encode(NOISE).decode()
MINIFIED = "".join(f'function f{n}(a,b){{return a[{n}]||b.c("x{n}")}};' for n in range(40))

PAYLOADS = {
    "a picture": f"data:image/png;base64,{ENCODED}",
    "a picture with parameters": f"data:image/svg+xml;charset=utf-8;base64,{ENCODED}",
    "an encoded drawing": "data:image/svg+xml,%3Csvg" + "%20path%3D1" * 30,
    "bare base64": ENCODED,
    "wrapped base64": "\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76)),
    "a hash": hashlib.sha256(NOISE).hexdigest(),
    "an integrity value": "sha512-" + base64.b64encode(hashlib.sha512(NOISE).digest()).decode(),
    "long hex": NOISE[:300].hex(),
    "a dump": NOISE[:64].hex(" "),
    "an array of bytes": ", ".join(f"0x{byte:02x}" for byte in NOISE[:64]) + ";",
    "a minified line": MINIFIED,
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_is_one_mark_to_models(payload: str) -> None:
    text = f"Tides of the bay.\n\n{payload}\n\nThey come twice a day."
    shown = without_payload(text)
    assert shown.startswith("Tides of the bay.\n\n…")
    assert shown.endswith("They come twice a day.")
    assert len(shown) < 60


PICTURE = PAYLOADS["a picture"]


@pytest.mark.parametrize(
    "markup",
    [
        f"![tides]({PICTURE})",
        f'<img src="{PICTURE}" alt="tides">',
        f"[tides]: {PICTURE}",
        f'[tides]: <{PICTURE}> "A title"',
        f"- an item ![tides]({PICTURE}) goes on",
    ],
)
def test_the_words_around_a_picture_stay(markup: str) -> None:
    assert "tides" in without_payload(markup)
    assert len(without_payload(markup)) < 60


LANGUAGE = [
    "https://example.org/a/very/long/path/of/words/that/goes/on/and/on/to/the/end/of/the/page/about/boats/index.html",
    "x" * 5_000,
    "supercalifragilistic" * 40,
    "检索增强生成" * 500,
    "| " + " | ".join(f"cell {n}" for n in range(200)) + " |",
    ", ".join(f"[boat {n}](boats/{n}.md)" for n in range(60)),
    "The rope is 12 m long; the mast (of pine) is 9 m. " * 40,
    "4.7.3 and 1,234,567 and 2024-01-05 and 550e8400-e29b-41d4-a716-446655440000",
    "get_child_item_of_the_parent_in_the_tree_that_was_built_last_by_the_worker_with_the_longest_name_of_them_all_here",
    "12345678901234567890123456789012345678901234567890",
    "!?.,;:" * 500,
]


@pytest.mark.parametrize("text", LANGUAGE)
def test_long_words_addresses_tables_and_numbers_are_language(text: str) -> None:
    assert payload_spans(text) == []


@pytest.mark.parametrize("payload", [PICTURE, PAYLOADS["wrapped base64"], MINIFIED])
def test_a_passage_holds_a_payload_whole_and_offsets_stay(payload: str) -> None:
    source = f"# Charts\n\n{payload}\n\n" + "A sentence about tides. " * 120 + f"\n\n{payload}\n\nThe end."
    spans = chunk_markdown(source, size=400, overlap=80)
    assert_sound(source, spans, 400, 80)
    assert sum(payload in source[span.start : span.end] for span in spans) == 2
    assert len(spans) <= 10


def test_a_large_picture_makes_no_more_passages_than_a_link() -> None:
    picture = "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(300_000)).decode()
    note = "# Charts\n\n![tides]({})\n\nThe tide comes twice a day.\n"
    spans = chunk_markdown(note.format(picture))
    assert len(spans) == len(chunk_markdown(note.format("tides.png"))) == 1
    assert spans[0].end == len(note.format(picture)) - 1
    shown = for_models(note.format(picture))
    assert len(shown) <= 1.1 * len(note.format("tides.png"))


def test_a_note_with_a_large_picture_is_estimated_like_one_with_a_link() -> None:
    picture = "data:image/png;base64," + base64.b64encode(random.Random(2).randbytes(300_000)).decode()
    note = "# Charts\n\n![tides]({})\n\n" + "The tide comes twice a day. " * 20

    def tokens(target: str) -> int:
        upload = Upload("ds", note.format(target).encode(), file_name="charts.md")
        return sum(estimate_tokens(chunk.indexed) for chunk in chunked_upload(upload, READERS[".md"]).chunks)

    assert tokens(picture) <= 1.1 * tokens("tides.png")


@given(st.lists(st.sampled_from(["word ", "\n\n", PICTURE, f"({ENCODED})", "é", "龍"]), max_size=20).map("".join))
def test_places_in_the_thin_text_are_those_of_the_text(text: str) -> None:
    shown = thin(text)
    rest = shown.text
    for start, end in reversed(shown.spans):
        place = shown.place(start)
        assert shown.text[place] == "…"
        assert (shown.original(place), shown.original(place + 1)) == (start, end)
        assert shown.place((start + end) // 2) == place
        rest = rest[:place] + text[start:end] + rest[place + 1 :]
    assert rest == text
    assert shown.original(len(shown.text)) == len(text)


def test_refinement_is_shown_marks_and_speaks_of_the_text() -> None:
    source = f"Words about boats.\n\n![a]({PICTURE})\n\nMore words about boats.\n\nSkip to content\n\nThe last words.\n"
    [pieces] = draft_of(source, ChunkingParams()).windows
    assert all(len(piece.text) < 60 for piece in pieces)
    assert source[pieces[-1].start : pieces[-1].end] == "The last words."
    dropped = [source[start:end] for start, end in heuristic(source).edits.dropped]
    assert all("base64" not in text for text in dropped)


@pytest.mark.parametrize(
    "text", ["a1B" * 700_000, "0x1," * 300_000, "data:" * 300_000, "ab " * 500_000, "A" * 76 + "\n"]
)
def test_hostile_texts_are_looked_through_in_no_time(text: str) -> None:
    began = time.process_time()
    payload_spans(text * (1 if len(text) > 100 else 20_000))
    assert time.process_time() - began < 4


def test_rows_of_a_table_are_indexed_with_its_header() -> None:
    rows = "".join(f"| SKU-{n:04} | {n * 3} | in stock |\n" for n in range(80))
    source = f"# Prices\n\n| article | price in euro | state |\n| --- | --- | --- |\n{rows}"
    spans = chunk_markdown(source, size=400, overlap=0)
    assert len(spans) > 3
    for span in spans:
        shown = indexed_passage(span.heading_path, source[span.start : span.end], span.meta)
        assert "| article | price in euro | state |" in shown
        assert shown.startswith("Prices\n\n")


@pytest.mark.parametrize(
    ("given_names", "names"),
    [
        (("Zanzibar trip.md", None, None, ()), ("Zanzibar trip",)),
        (("intro.md", "guides/setup/intro.md", "Welcome", ("Start",)), ("guides", "setup", "intro", "Welcome", "Start")),  # noqa: E501
        (("a-b.md", None, "A b", ()), ("a-b",)),
        ((None, "https://example.org/docs/rope.html", None, ()), ("docs", "rope")),
        ((None, None, None, ()), ()),
        (("---.md", "../../x.md", None, ()), ("x",)),
    ],
)  # fmt: skip
def test_a_document_is_called_by_its_folder_file_title_and_aliases(given_names: tuple, names: tuple) -> None:  # type: ignore[type-arg]
    assert names_of(*given_names) == names
