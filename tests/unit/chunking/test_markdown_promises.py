"""What a reader of chunks may rely on, one promise a test."""

from __future__ import annotations

import pytest

from services.chunking import chunk_markdown
from services.domain import ChunkSpan
from tests.unit.chunking.invariants import assert_sound, core_start

SENTENCES = "The river rose for three days. Nobody had seen it so high. On the fourth it fell. "


def chunked(source: str, size: int = 400, overlap: int = 0) -> list[tuple[str, ChunkSpan]]:
    spans = chunk_markdown(source, size=size, overlap=overlap)
    assert_sound(source, spans, size, overlap)
    return [(source[span.start : span.end], span) for span in spans]


def texts(source: str, size: int = 400, overlap: int = 0) -> list[str]:
    return [text for text, _ in chunked(source, size, overlap)]


def prose(length: int) -> str:
    return (SENTENCES * (length // len(SENTENCES) + 1))[:length].rsplit(" ", 1)[0] + "."


# Headings.


def test_a_chunk_knows_the_headings_above_it() -> None:
    source = (
        f"# Book\n\n{prose(300)}\n\n## Part\n\n{prose(300)}\n\n### Chapter\n\n{prose(300)}\n\n## Other\n\n{prose(300)}"
    )
    assert [span.heading_path for _, span in chunked(source)] == [
        ("Book",),
        ("Book", "Part"),
        ("Book", "Part", "Chapter"),
        ("Book", "Other"),
    ]


def test_every_chunk_of_a_long_section_knows_its_heading() -> None:
    pieces = chunked(f"# Book\n\n## Part\n\n{prose(3000)}")
    assert len(pieces) > 5
    assert {span.heading_path for _, span in pieces} == {("Book", "Part")}


def test_headings_may_be_underlined_and_closed_and_skip_levels() -> None:
    source = f"Book\n====\n\n{prose(300)}\n\n#### Deep ####\n\n{prose(300)}\n\nPart\n---\n\n{prose(300)}"
    assert [span.heading_path for _, span in chunked(source)] == [("Book",), ("Book", "Deep"), ("Book", "Part")]


def test_a_heading_without_words_ends_the_section_above_and_adds_nothing() -> None:
    source = f"# Book\n\n## Part\n\n{prose(300)}\n\n##\n\n{prose(300)}"
    assert [span.heading_path for _, span in chunked(source)] == [("Book", "Part"), ("Book",)]


@pytest.mark.parametrize(
    "code",
    [
        "```\n# no heading\n```",
        "~~~~ sh\n# no heading\n~~~~",
        "    # no heading",
        "- item\n\n      # no heading",
        "<pre>\n# no heading\n</pre>",
    ],
)
def test_a_number_sign_in_code_is_no_heading(code: str) -> None:
    [(_, span)] = chunked(f"# Real\n\n{code}\n\ntext")
    assert span.heading_path == ("Real",)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_are_counted_right(end: str) -> None:
    source = f"# Book\n\n{prose(300)}\n\n## Part\n\n{prose(300)}\n\n```py\n1\n```\n".replace("\n", end)
    pieces = chunked(source)
    assert [text.split(end)[0] for text, _ in pieces] == ["# Book", "## Part"]
    assert [span.heading_path for _, span in pieces] == [("Book",), ("Book", "Part")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c"])
def test_what_only_looks_like_a_line_end_is_none(separator: str) -> None:
    source = f"# Book\n\none{separator}# no heading{separator}two {prose(250)}\n\n# Next\n\n{prose(250)}"
    pieces = chunked(source)
    assert [span.heading_path for _, span in pieces] == [("Book",), ("Next",)]
    assert pieces[1][0].startswith("# Next")


def test_a_byte_order_mark_hides_neither_heading_nor_front_matter() -> None:
    [(text, span)] = chunked("\ufeff# Book\n\ntext")
    assert span.heading_path == ("Book",)
    assert text.endswith("text")
    [(_, span)] = chunked("\ufeff---\ntitle: x\n---\n# Book\n\ntext")
    assert span.heading_path == ("Book",)


@pytest.mark.parametrize(
    "block", ["```\n" + "code\n" * 200 + "```", "| a |\n|---|\n" + "| row |\n" * 200, SENTENCES * 20]
)
def test_a_byte_order_mark_above_a_block_that_does_not_fit_is_not_lost(block: str) -> None:
    pieces = chunked("\ufeff\n\n" + block)
    assert pieces[0][0].startswith("\ufeff\n\n" + block[:3])


@pytest.mark.parametrize("length", range(280, 420, 7))
def test_a_heading_is_never_parted_from_its_text(length: int) -> None:
    code = "```\n" + "line\n" * (length // 5) + "```"
    source = f"# One\n\n{prose(length)}\n\n# Two\n\n## Deeper\n\n{prose(length)}\n\n# Three\n\n{code}\n"
    for text in texts(source):
        assert not text.splitlines()[-1].startswith("#")


def test_a_link_target_above_a_heading_goes_with_it() -> None:
    source = f"# One\n\n{prose(350)}\n\n<!-- kept for old links -->\n\n<a id='two'></a>\n\n# Two\n\n{prose(300)}"
    one, two = texts(source)
    assert one.startswith("# One")
    assert two.startswith("<!-- kept")


# Packing.


def test_small_sections_share_a_chunk_under_their_parent() -> None:
    source = "# Book\n\n" + "".join(f"## Part {n}\n\nA short text.\n\n" for n in range(5))
    [(_, span)] = chunked(source)
    assert span.heading_path == ("Book",)


def test_fifty_thousand_headings_are_not_fifty_thousand_chunks() -> None:
    source = "".join(f"# h{n}\n" for n in range(50_000))
    assert len(chunked(source)) < 1.2 * len(source) / 400


def test_a_section_that_fits_is_kept_whole() -> None:
    sections = [f"## Part {n}\n\n{prose(150)}\n\n{prose(150)}" for n in range(6)]
    assert texts("# Book\n\n" + prose(300) + "\n\n" + "\n\n".join(sections))[1:] == sections


def test_the_end_of_a_section_is_not_left_as_a_fragment() -> None:
    source = "# Book\n\n" + "\n\n".join(prose(190) for _ in range(9)) + "\n\nTwo words.\n\n# Next\n\n" + prose(300)
    assert min(len(text) for text in texts(source)) > 130


def test_an_edit_leaves_the_chunks_of_other_sections_as_they_are() -> None:
    sections = [f"## Part {n}\n\n" + "\n\n".join(prose(60 + 37 * (n + k) % 300) for k in range(6)) for n in range(30)]
    before = set(texts("\n\n".join(sections), overlap=80))
    sections[14] += "\n\nA paragraph that somebody added."
    after = texts("\n\n".join(sections), overlap=80)
    assert 0 < sum(text not in before for text in after) < 8


def test_front_matter_goes_with_the_first_section() -> None:
    source = f"---\ntitle: The book\ntags: [a, b]\n---\n\n# Book\n\n{prose(200)}\n\n# Next\n\n{prose(300)}"
    first, _ = chunked(source)
    assert first[0].startswith("---\ntitle: The book")
    assert first[1].heading_path == ("Book",)


def test_large_front_matter_stands_alone() -> None:
    front = "---\n" + "".join(f"key{n}: some value\n" for n in range(18)) + "---"
    pieces = chunked(f"{front}\n\n# Book\n\n{prose(300)}")
    assert pieces[0][0] == front
    assert pieces[0][1].heading_path == ()


def test_a_file_of_front_matter_alone_has_a_chunk() -> None:
    assert texts("---\ntitle: x\n---\n") == ["---\ntitle: x\n---"]


def test_a_thematic_break_at_the_top_is_no_front_matter() -> None:
    source = f"---\n\n# Book\n\n{prose(200)}\n\n---\n\n# Next\n\n{prose(300)}"
    assert [span.heading_path for _, span in chunked(source)] == [("Book",), ("Next",)]


def test_a_line_that_announces_a_list_or_code_stays_with_it() -> None:
    for block in ("- one\n- two\n- three", "```py\ncode()\n```", "| a | b |\n|---|---|\n| 1 | 2 |"):
        source = f"# Book\n\n{prose(250)}\n\n{prose(60)} This shows how:\n\n{block}\n\n{prose(250)}"
        [holder] = [text for text in texts(source) if block in text]
        assert "This shows how:" in holder


def test_the_sentence_above_a_table_stays_with_it() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
    source = f"# Book\n\n{prose(300)}\n\nThe sizes are these.\n\n{table}\n\n{prose(300)}"
    [holder] = [text for text in texts(source) if table in text]
    assert "The sizes are these." in holder


def test_tags_and_admonitions_stay_around_what_they_hold() -> None:
    for opening, closing in (("<details>", "</details>"), ("/// note", "///"), ("::: warning", ":::")):
        inside = prose(200)
        source = f"# Book\n\n{prose(320)}\n\n{opening}\n\n{inside}\n\n{closing}\n\n{prose(320)}"
        assert f"{opening}\n\n{inside}\n\n{closing}" in texts(source)


# Blocks that fit.


def test_a_code_block_is_never_cut_while_it_fits() -> None:
    for lines in range(2, 30):
        fence = "```py\n" + "\n\n".join(f"x = {n}" for n in range(lines)) + "\n```"
        for before in (50, 200, 370):
            assert any(fence in text for text in texts(f"# Book\n\n{prose(before)}\n\n{fence}\n\n{prose(300)}"))


def test_a_table_a_list_and_a_paragraph_are_never_cut_while_they_fit() -> None:
    table = "| name | size |\n|------|------|\n" + "\n".join(f"| row {n} | {n * n} |" for n in range(15))
    items = "\n".join(f"{n}. item number {n}" for n in range(1, 17))
    paragraph = prose(380)
    for block in (table, items, paragraph):
        for before in (40, 180, 330):
            source = f"# Book\n\n{prose(300)}\n\n{prose(before)}\n\n{block}\n\n{prose(300)}"
            assert any(block in text for text in texts(source))


# Blocks that do not fit.


def test_a_table_row_is_never_cut_and_later_rows_know_the_header() -> None:
    header = "| name | what it is |\n|------|------------|"
    rows = [f"| row {n} | {prose(20 + 5 * (n % 9))} |" for n in range(60)]
    pieces = chunked(f"# Book\n\nThe rows:\n\n{header}\n" + "\n".join(rows))
    for row in rows:
        assert sum(row in text for text, _ in pieces) == 1
    for text, span in pieces:
        assert ("table_header" in span.meta) == text.startswith("| row")
        assert span.meta.get("table_header", header) == header


def test_the_header_of_a_table_is_not_left_alone() -> None:
    table = "| name | text |\n|---|---|\n" + "\n".join(f"| {n} | {prose(120)} |" for n in range(20))
    for before in range(200, 400, 11):
        assert not any(text.endswith("|---|---|") for text in texts(f"{prose(before)}\n\nThe rows:\n\n{table}"))


def test_code_is_cut_between_lines_and_later_lines_know_the_language() -> None:
    lines = [f"value_{n} = compute({n})" for n in range(60)]
    pieces = chunked("# Book\n\n```python title='x'\n" + "\n".join(lines) + "\n```\n\nAfter it.")
    for line in lines:
        assert sum(line in text for text, _ in pieces) == 1
    for text, span in pieces:
        assert span.meta.get("fence") == ("python title='x'" if text.startswith("value_") else None)


def test_code_is_cut_where_its_paragraphs_end() -> None:
    functions = [f"def f{n}(x):\n    y = x + {n}\n    z = y * 2\n    return z" for n in range(30)]
    pieces = texts("```py\n" + "\n\n\n".join(functions) + "\n```")
    assert all(text.startswith(("def ", "```")) for text in pieces)
    assert not any(text.splitlines()[-1] == "```py" for text in pieces)


def test_an_unclosed_code_block_loses_nothing() -> None:
    pieces = chunked("# Title\n\nIntro.\n\n```python\n" + "x = 1\n" * 200 + "\n## Important\n\nThe end.")
    assert pieces[-1][0].endswith("The end.")
    assert {span.heading_path for _, span in pieces} == {("Title",)}


def test_a_list_item_is_never_cut_while_it_fits() -> None:
    items = [f"- item {n}: {prose(40 + 13 * (n % 7))}\n  - with {n} inside\n  - and more" for n in range(30)]
    pieces = texts("# Book\n\nThe items:\n\n" + "\n".join(items))
    for item in items:
        assert sum(item in text for text in pieces) == 1


def test_a_large_item_is_cut_between_its_own_blocks() -> None:
    code = "  ```py\n  one()\n\n  two()\n  ```"
    source = f"- {prose(300)}\n\n{code}\n\n  {prose(300)}\n\n- second\n"
    assert any(code.strip() in text for text in texts(source))


def test_a_heading_is_not_parted_from_a_list_whose_first_item_does_not_fit() -> None:
    source = f"# Book\n\n{prose(350)}\n\n## The items of this part\n\n- {prose(395)}\n\n  {prose(200)}\n- second\n"
    assert not any(text.endswith("of this part") for text in texts(source))


def test_link_definitions_under_code_are_not_code() -> None:
    code = "```py\n" + "x = 1\n" * 60 + "```"
    definitions = "\n".join(f"[name{n}]: https://example.org/{n}" for n in range(12))
    pieces = chunked(f"# Book\n\n{code}\n\n{definitions}\n")
    assert [text for text, _ in pieces] == [f"# Book\n\n{code}", definitions]
    assert all("fence" not in span.meta for _, span in pieces)


def test_a_large_quote_is_cut_between_its_paragraphs() -> None:
    paragraphs = [prose(150) for _ in range(6)]
    source = "\n>\n".join(f"> {paragraph}" for paragraph in paragraphs)
    for text in texts(source):
        assert text.count(paragraphs[0]) == text.count("> The")


@pytest.mark.parametrize(
    "sentence",
    [
        "The quick brown fox jumps over the lazy dog. ",
        "Một câu tiếng Việt có dấu đầy đủ ở đây. ",
        "这是一个没有空格的中文句子，很短。",
        "これは空白のない日本語の文です。",
        "هذه جملة عربية قصيرة للاختبار. ",
    ],
)
def test_prose_is_cut_between_sentences_of_any_script(sentence: str) -> None:
    for text, span in chunked(sentence * 60, overlap=80):
        assert text.startswith(sentence.strip())
        assert text.endswith(sentence.strip())
        assert span.heading_path == ()


def test_a_sentence_that_does_not_fit_is_cut_between_words() -> None:
    words = " ".join(f"word{n}" for n in range(500))
    for text in texts(words):
        assert all(word in words.split() for word in text.split())


def test_a_long_line_that_was_not_wrapped_ends_a_paragraph() -> None:
    lines = [prose(170) for _ in range(10)]
    for text in texts("\n".join(lines)):
        assert all(line in lines for line in text.split("\n"))


# Overlap.


def test_an_overlap_begins_at_a_sentence_and_is_counted() -> None:
    source = "# Book\n\n" + " ".join(f"Sentence number {n} says something." for n in range(100))
    first, *rest = chunked(source, overlap=100)
    assert "overlap" not in first[1].meta
    for (before, _), (text, span) in zip([first, *rest], rest, strict=False):
        assert 60 < span.meta["overlap"] <= 100
        assert text.startswith("Sentence number")
        assert before.endswith(text[: span.meta["overlap"]].strip())


def test_an_overlap_repeats_whole_items_of_a_list() -> None:
    source = "\n".join(f"* item {n} {prose(40)}" for n in range(60))
    _, *rest = chunked(source, overlap=150)
    assert all(span.meta["overlap"] > 40 and text.startswith("* item") for text, span in rest)


def test_an_overlap_does_not_reach_into_another_section() -> None:
    source = "\n\n".join(f"# Part {n}\n\n{prose(350)}" for n in range(8))
    assert all("overlap" not in span.meta for _, span in chunked(source, overlap=200))


def test_an_overlap_begins_in_no_code_block_or_table() -> None:
    code = "```py\n" + "\n".join(f"x = {n}" for n in range(200)) + "\n```"
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n} |" for n in range(200))
    for block in (code, table):
        for text, span in chunked(f"{prose(300)}\n\n{block}\n\n{prose(300)}", overlap=120):
            if "overlap" in span.meta:
                assert text[0].isupper()
                assert text.startswith(("The river", "Nobody", "On the fourth"))


@pytest.mark.parametrize("lines", range(6, 14))
def test_a_chunk_that_goes_on_with_a_table_or_code_repeats_nothing(lines: int) -> None:
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| row {n} | of {lines} rows of a table |" for n in range(lines))
    code = "```py\n" + "\n".join(f"the_value_of_line_{n} = {lines} * {n}" for n in range(lines)) + "\n```"
    for block in (table, code):
        for before in range(100, 350, 50):
            pieces = chunked(f"{prose(before)}\n\nIt is this.\n\n{block}", overlap=250)
            assert not any("overlap" in span.meta and {"table_header", "fence"} & {*span.meta} for _, span in pieces)


def test_without_overlap_chunks_share_nothing() -> None:
    assert all("overlap" not in span.meta for _, span in chunked("# Book\n\n" + prose(5000)))


def test_the_overlap_gives_way_to_the_size() -> None:
    source = "\n\n".join(prose(390) for _ in range(10))
    for text, span in chunked(source, overlap=300):
        assert len(text) <= 400
        assert span.end - core_start(span) >= 300
