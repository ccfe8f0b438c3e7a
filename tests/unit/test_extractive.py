"""Summaries without a model: sentences of the sources, a title that names them, and never more than was asked for."""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chunking import chunk_markdown
from services.text.extractive import ExtractiveSummary, summarise
from services.text.key_phrases import distinct_titles, shared_path, shortened
from services.text.plain_text import as_read
from services.text.stop_words import STOP_WORDS
from services.text.words import fold
from utils.tokens import estimate_tokens

MARKDOWN = """---
title: Smart pointers
---

# Smart pointers

Smart pointers are data structures that act like a pointer and also own the data they point to. This is short.

## Box

Boxes allow you to store data on the heap rather than the stack. See [the manual](https://example.org/box) for more:

| type | heap |
| --- | --- |
| `Box<T>` | yes |

```rust
let boxed = Box::new(5); // This line is no sentence of the text.
```

- [Rc](rc.md)
- [RefCell](refcell.md)

A reference counting pointer enables **multiple owners** of
the same data by keeping count of them.
"""
VIETNAMESE = [
    "# Quyền sở hữu\n\nQuyền sở hữu là một tập hợp các quy tắc quản lý bộ nhớ. Mỗi giá trị có một chủ sở hữu.",
    "## Tham chiếu\n\nTham chiếu cho phép dùng giá trị mà không lấy quyền sở hữu. Tham chiếu luôn phải hợp lệ.",
]
CHINESE = [
    "所有权是一组管理内存的规则。每个值都有一个所有者。离开作用域时，值会被释放。",
    "引用允许使用值而不取得所有权。引用必须始终有效。可变引用在同一时间只能有一个。",
]


def check_picks(summary: ExtractiveSummary, texts: list[str]) -> None:
    shown = [as_read(texts[source][start:end]) for source, start, end in summary.picks]
    assert "".join(summary.text.split()) == "".join("".join(shown).split())
    assert list(summary.picks) == sorted(summary.picks)


def test_every_pick_is_a_span_of_its_source() -> None:
    texts = [MARKDOWN, *VIETNAMESE, *CHINESE]
    summary = summarise(texts, token_budget=150)
    check_picks(summary, texts)
    assert len(summary.picks) > 2


@pytest.mark.parametrize("budget", [16, 40, 80, 200, 1000])
def test_a_summary_keeps_to_its_budget(budget: int) -> None:
    summary = summarise([MARKDOWN, *VIETNAMESE, *CHINESE], token_budget=budget)
    assert 0 < estimate_tokens(summary.text) <= budget


def test_only_whole_sentences_of_prose_are_picked() -> None:
    text = summarise([MARKDOWN], token_budget=80).text
    assert "Smart pointers are data structures" in text
    for other in ("title:", "Box::new", "no sentence", "| ", "Rc", "#"):
        assert other not in text


def test_markup_is_not_part_of_the_summary() -> None:
    text = summarise([MARKDOWN], token_budget=200).text
    assert "enables multiple owners of the same data" in text
    assert "https://" not in text


def test_repeated_text_is_said_once() -> None:
    sentence = "The scheduler places each container on the node with the most free memory."
    other = "A volume keeps the files of a container when the container is gone."
    texts = [f"{sentence} {other}", f"{sentence}", f"Intro. {sentence.replace('places', 'puts')}"]
    text = summarise(texts, token_budget=200).text
    assert text.count("container on the node") == 1
    assert other in text


def test_a_summary_reaches_over_its_texts() -> None:
    much = " ".join(
        f"The {subject} is a matter of long and patient study." for subject in ("river", "engine", "violin")
    )
    little = [
        f"Many careful experts went to study the {subject} before." for subject in ("glacier", "market", "bridge")
    ]
    summary = summarise([much, *little], token_budget=62)
    assert len({source for source, _, _ in summary.picks}) >= 3


def test_texts_near_the_mean_are_favoured() -> None:
    texts = [f"Sample {name} holds a steady value in the long record." for name in ("alpha", "beta", "gamma")]
    assert "alpha" in summarise(texts, token_budget=18).text
    vectors = np.array([[-0.6, 0.8], [1, 0], [0.9, 0.435]], np.float32)
    assert "alpha" not in summarise(texts, token_budget=18, vectors=vectors).text


def test_a_list_without_full_stops_still_gives_a_summary() -> None:
    text = summarise(
        ["- Fix the parser for nested lists\n- Add a Korean translation\n- Drop Python 3.8"], token_budget=100
    ).text
    assert "Add a Korean translation" in text


@pytest.mark.parametrize(
    "text",
    [
        "```\nlet x = 1;\n```",
        "| a | b |\n|---|---|",
        "# Only a heading",
        "!!!",
        "1 2 3",
        "a" * 5000,
        "ไม่มีจุดจบประโยค" * 300,
    ],
)
def test_whatever_is_not_blank_has_a_summary_and_a_title(text: str) -> None:
    summary = summarise([text], token_budget=30)
    assert summary.text
    assert 0 < estimate_tokens(summary.text) <= 30
    assert 0 < len(summary.title) <= 32


def test_blank_texts_have_a_title_and_nothing_to_say() -> None:
    summary = summarise(["", " \n"], token_budget=50)
    assert (summary.title, summary.text, summary.picks) == ("Untitled", "", ())


def test_the_same_texts_give_the_same_summary() -> None:
    texts = [MARKDOWN, *VIETNAMESE, *CHINESE]
    assert summarise(texts, token_budget=120) == summarise(list(texts), token_budget=120)


@settings(max_examples=60)
@given(
    st.lists(
        st.text(alphabet=st.sampled_from(list("ab. \n#->|`*!?。中文Tx1[]()")), max_size=120), min_size=1, max_size=4
    )
)
def test_any_texts_are_summarised_within_the_rules(texts: list[str]) -> None:
    summary = summarise(texts, token_budget=24)
    assert bool(summary.text) == any(text.strip() for text in texts)
    assert estimate_tokens(summary.text) <= 24
    assert 0 < len(summary.title) <= 32
    for source, start, end in summary.picks:
        assert 0 <= start < end <= len(texts[source])


def test_thousands_of_sentences_are_no_matter() -> None:
    texts = [" ".join(f"Machine {i} of hall {j} is fed by line {i * j}." for i in range(1000)) for j in range(10)]
    assert 0 < estimate_tokens(summarise(texts, token_budget=100).text) <= 100


def test_a_common_heading_is_the_title() -> None:
    paths = [
        ("The Book", "Ownership"),
        ("The Book", "Ownership", "Moves"),
        ("The Book", "Ownership"),
        ("The Book", "Slices"),
    ]
    assert summarise(["Some text here."] * 4, token_budget=50, heading_paths=paths).title == "Ownership"


def test_a_heading_that_says_nothing_alone_is_named_with_its_owner() -> None:
    paths = [("Get-Date", "Examples")] * 3
    assert summarise(["Some text here."] * 3, token_budget=50, heading_paths=paths).title == "Get-Date: Examples"


def test_siblings_get_different_titles() -> None:
    paths = [("Ownership",)] * 4
    texts = ["A closure captures a value. The closure moves it.", "A closure is called. Closures are called often."] * 2
    choices = [summarise(texts, token_budget=50, heading_paths=paths).titles for _ in range(6)]
    titles = distinct_titles(choices)
    assert titles[0] == "Ownership"
    assert len({fold(title) for title in titles}) == len(titles)
    assert all(len(title) <= 32 for title in titles)


def test_without_headings_the_strongest_phrase_is_the_title() -> None:
    texts = [
        "A reference cycle leaks memory. Each reference cycle keeps its values alive.",
        "Weak pointers break a reference cycle.",
        "The counter of a Reference Cycle never reaches zero.",
    ]
    assert summarise(texts, token_budget=50).title == "Reference Cycle"


@pytest.mark.parametrize(("texts", "words"), [(VIETNAMESE, ("sở hữu", "tham chiếu")), (CHINESE, ("所有权", "引用"))])
def test_titles_work_in_other_languages(texts: list[str], words: tuple[str, ...]) -> None:
    title = summarise(texts, token_budget=60).title.lower()
    assert any(word in title for word in words)


def test_a_title_is_no_fragment_of_a_longer_word() -> None:
    texts = ["路径操作函数很快。定义路径操作函数。", "调用路径操作函数。", "测试路径操作函数。"]
    assert summarise(texts, token_budget=60).title == "路径操作函数"


def test_two_subjects_share_a_title() -> None:
    texts = [
        "Threads run code. Threads share memory.",
        "Threads end.",
        "Futures are lazy. Futures are polled.",
        "Futures wait.",
    ]
    assert summarise(texts, token_budget=60).title == "Futures, Threads"


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("Appendix B: Operators and Symbols of Rust", "Operators and Symbols of Rust"),
        ("Using Structs to Structure Related Data", "Using Structs to Structure…"),
        ("Error handling: what to do when things go wrong", "Error handling"),
        ("Example 3 - Get the processes of a user", "Get the processes of a user"),
        ("依赖注入" * 9, "依赖注入" * 7 + "依赖注…"),
        ("short", "short"),
    ],
)
def test_a_long_heading_is_shortened_at_a_good_place(long: str, short: str) -> None:
    assert shortened(long) == short


def test_the_shared_path_is_what_stands_over_more_than_half() -> None:
    assert shared_path([("A", "B"), ("A", "B", "C"), ("A",)]) == ("A", "B")
    assert shared_path([("A", "B"), ("A", "B", "C"), ("A",), ("D",)]) == ("A",)
    assert shared_path([("A",), ("B",), ("C",)]) == ()
    assert shared_path([]) == ()


def test_a_book_has_readable_summaries_and_titles() -> None:
    root = Path(os.environ.get("RAPTOR_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
    path = root / "md-small" / "files.jsonl.xz"
    if not path.is_file():
        pytest.skip("no public data: md-small is neither under RAPTOR_SHARED_DATA nor beside the checkout")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        sources = [json.loads(line)["markdown"] for line in lines]
    for source in sources[::4]:
        spans = chunk_markdown(source)[:10]
        if not spans:
            continue
        texts = [source[span.start : span.end] for span in spans]
        summary = summarise(texts, token_budget=200, heading_paths=[span.heading_path for span in spans])
        check_picks(summary, texts)
        assert estimate_tokens(summary.text) <= 200
        assert 0 < len(summary.title) <= 32
        assert fold(summary.title) not in STOP_WORDS
        assert not {"```", "](", "<!--"} & {mark for mark in ("```", "](", "<!--") if mark in summary.text}
