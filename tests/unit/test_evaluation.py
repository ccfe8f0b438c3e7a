"""Scores for questions whose answer is known, and what may be concluded from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services.retrieval.evaluation import ExpectedAnswer, NoQuestions, coverage, interval, questions_in, recall, verdict

PASSAGE = "The chain's weight keeps the pull level, and a bower anchor hangs at the bow of the ship."


def expected(passage: str | None = None, answer: str | None = None) -> ExpectedAnswer:
    return ExpectedAnswer("?", passage, answer)


def test_a_passage_counts_by_what_of_it_came_back_verbatim() -> None:
    whole = expected(PASSAGE)
    assert coverage(whole, [f"Before. {PASSAGE.upper()}\nAfter."]) == 1
    assert coverage(whole, ["the chain's  WEIGHT keeps\nthe pull level", "a bower anchor hangs at the bow"]) > 0.7
    assert coverage(whole, [" ".join(reversed(PASSAGE.split()))]) == 0
    assert coverage(whole, []) == 0


def test_chinese_is_compared_letter_by_letter() -> None:
    assert coverage(expected("外壳温度超过 45 °C，立即断电。"), ["注意：外壳温度超过45 °C，立即断电！"]) == 1
    assert coverage(expected("立即断电"), ["请勿断电"]) == 0


def test_an_answer_counts_by_its_content_words() -> None:
    told = expected(answer="The bees keep honey for the winter.")
    assert coverage(told, ["In winter the honey of a bee hive is kept."]) > 0.7
    assert coverage(told, ["A glacier flows."]) == 0


def test_recall_is_of_passages_alone() -> None:
    assert recall(expected(PASSAGE), [PASSAGE]) == 1
    assert recall(expected(PASSAGE), [PASSAGE[:30]]) == 0
    assert recall(expected(answer="honey"), ["honey"]) is None


def test_the_interval_holds_the_mean_and_narrows_with_more_questions() -> None:
    scores = np.random.default_rng(1).random(400).tolist()
    few, many = interval(scores[:20]), interval(scores)
    for found in (few, many):
        assert found.low < found.mean < found.high
    assert many.high - many.low < few.high - few.low
    assert interval(scores) == many
    assert interval([1.0, 1.0, 1.0]).low == interval([1.0, 1.0, 1.0]).high == 1


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    held = sum(
        found.low <= 0.3 <= found.high
        for found in (interval((draw.random(60) < 0.3).astype(float).tolist()) for _ in range(200))
    )
    assert 0.88 <= held / 200 <= 1


def test_the_verdict_is_told_only_where_the_questions_show_it() -> None:
    flat = [0.2, 0.4, 0.6, 0.8] * 10
    better, worse = [score + 0.1 for score in flat], [score - 0.1 for score in flat]
    noisy = [score + (0.5 if i % 2 else -0.48) for i, score in enumerate(flat)]
    assert verdict({"tree": better}, {"flat": flat}).helps == "yes"
    assert verdict({"tree": worse}, {"flat": flat}).helps == "no"
    assert verdict({"tree": noisy}, {"flat": flat}).helps == "unclear"
    assert verdict({"tree": flat}, {"flat": flat}).helps == "unclear"
    chosen = verdict({"a": worse, "b": better}, {"c": flat, "d": worse})
    assert (chosen.tree, chosen.flat) == ("b", "c")
    assert chosen.confidence == pytest.approx(1 - 0.05 / 4)


def test_questions_are_read_from_jsonl_and_csv() -> None:
    rows = '{"question": "a?", "passage": "b"}\n\n{"question": "c?", "passage": null, "answer": "d", "file": "x.md"}\n'
    assert questions_in(rows, "q.jsonl") == [ExpectedAnswer("a?", "b", None), ExpectedAnswer("c?", None, "d")]
    table = '\ufeffQuestion,Expected\n"a, b?","c ""d"""\n'
    assert questions_in(table, "q.CSV") == [ExpectedAnswer("a, b?", None, 'c "d"')]


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("", "q.jsonl", "no question"),
        ("question,answer\n", "q.csv", "no question"),
        ("{", "q.jsonl", "Line 1"),
        ("[1]", "q.jsonl", "Line 1"),
        ('{"question": "a"}', "q.jsonl", "neither"),
        ('\n{"passage": "a"}', "q.jsonl", "Line 2 has no `question`"),
        ("question,answer\na,\n", "q.csv", "Row 1"),
        ('question,answer\na,"b\n', "q.csv", "CSV"),
    ],
)
def test_a_file_that_holds_no_questions_says_where_and_why(text: str, name: str, told: str) -> None:
    with pytest.raises(NoQuestions, match=told):
        questions_in(text, name)


def test_the_samples_questions_are_answered_by_the_samples() -> None:
    folder = Path(__file__).parents[2] / "samples"
    handbook = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]
    found = questions_in((folder / "questions.jsonl").read_text(encoding="utf-8"), "questions.jsonl")
    assert len(found) == len((folder / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    for one in found:
        assert coverage(one, handbook) == 1 if one.passage else coverage(one, handbook) > 0.7, one
        assert json.dumps(one.question)
