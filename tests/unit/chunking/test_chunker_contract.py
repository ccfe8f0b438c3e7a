"""What every chunker of the registry promises."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chunking import CHUNKERS, InvalidChunkSize
from services.errors import RaptorError
from tests.unit.chunking.invariants import assert_sound, corpus, texts

MARKS = [
    *("# ", "## ", "### ", "- ", "1. ", "* ", "> ", "    ", "\t", "```", "~~~", "```py\n", "---\n", "===\n", "***"),
    *("| a | b |\n|---|---|\n| 1 | 2 |\n", "<div>", "</div>", "<!-- ", "-->", "[a]: b", "![x](y)", "`", "\\", ":"),
    *("\n", "\n\n", "\r\n", "\r", "\u2028", "\x0b", "\x0c", "\x85", "\0", "\ufeff", "\u00a0", "\u3000", " " * 130),
    *("word ", "A sentence. ", "Câu tiếng Việt. ", "一句中文。", "ある文。", "שלום עולם. ", "…", "x" * 130),
    *("👩‍👩‍👧", "🇩🇪", "e\u0301", "\u200d"),
]

sources = st.one_of(
    st.text(max_size=1500),
    st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=60)), max_size=120).map("".join),
)
sizes = st.integers(100, 600)


@pytest.mark.parametrize("name", CHUNKERS)
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(source=sources, size=sizes, share=st.floats(0, 0.95))
def test_chunks_part_any_source(name: str, source: str, size: int, share: float) -> None:
    overlap = int(size * share)
    assert_sound(source, CHUNKERS[name](source, size=size, overlap=overlap), size, overlap)


@pytest.mark.parametrize("name", CHUNKERS)
@settings(max_examples=50, deadline=None)
@given(source=sources)
def test_the_same_source_gives_the_same_chunks(name: str, source: str) -> None:
    assert CHUNKERS[name](source, size=200, overlap=40) == CHUNKERS[name](source, size=200, overlap=40)


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize("corpus_name", ["md-small", "md-medium", "md-multilingual"])
def test_chunks_part_every_document_of_a_public_corpus(name: str, corpus_name: str) -> None:
    for number, source in enumerate(corpus(corpus_name)):
        if number % 8 == 0:  # the benchmark looks at all of them
            assert_sound(source, CHUNKERS[name](source), 1200, 200)


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize("blank", ["", " ", "\n\n\n", "\t\r\n\u2028\u3000", "\n" * 10_000])
def test_a_source_without_text_has_no_chunks(name: str, blank: str) -> None:
    assert CHUNKERS[name](blank) == []


@pytest.mark.parametrize("name", CHUNKERS)
def test_a_word_is_a_chunk(name: str) -> None:
    assert texts("\n word\n", CHUNKERS[name]("\n word\n")) == ["word"]


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (99, 0), (100, 100), (100, 101), (500, -1)])
def test_impossible_sizes_are_refused_by_name(name: str, size: int, overlap: int) -> None:
    with pytest.raises(InvalidChunkSize, match="chunk_size") as refusal:
        CHUNKERS[name]("text", size=size, overlap=overlap)
    assert isinstance(refusal.value, RaptorError)
    assert refusal.value.details == {"size": size, "overlap": overlap}


@pytest.mark.parametrize("name", CHUNKERS)
def test_the_default_chunk_is_1200_characters_with_200_of_overlap(name: str) -> None:
    source = "A sentence of a long text without any paragraph. " * 300
    assert CHUNKERS[name](source) == CHUNKERS[name](source, size=1200, overlap=200)


@pytest.mark.parametrize("name", CHUNKERS)
def test_no_cut_goes_through_what_a_reader_sees_as_one_character(name: str) -> None:
    clusters = ["👩‍👩‍👧", "🇻🇳", "e\u0301\u0323", "👍🏽", "नि", "한", "☝️"]
    for cluster in clusters:
        source = cluster * 400
        spans = CHUNKERS[name](source, size=100, overlap=30)
        assert_sound(source, spans, 100, 30)
        assert len(spans) > 1
        for span in spans:
            assert span.start % len(cluster) == 0
            assert span.end % len(cluster) == 0
