"""Scores of what retrieval brings back for questions whose answer is known, and what can be concluded from them. Pure.

Words are compared without case; runs of Han, kana and Hangul letter by letter. An expected passage counts where it
stands in what came back verbatim, by runs of five words, so that chunk borders and white space do not matter; an
expected answer, which is in nobody's words, by its content words.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from services.text.words import words as index_terms

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+"
)
_RUN = 5
# A passage of which so much came back counts as found.
FOUND_FROM = 0.8
RESAMPLES = 5_000
SEED = 224

Scores = npt.NDArray[np.float64]


class NoQuestions(ValueError):
    """The file is not one of questions; the message says which line and why."""


@dataclass(frozen=True, slots=True)
class ExpectedAnswer:
    """A question and the passage it is answered in, word for word, or an answer in anybody's words; or both."""

    question: str
    passage: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether trees are better than passages alone: the best tree configuration's coverage less the best flat one's,
    question by question. `helps` is "unclear" where the interval has zero in it."""

    helps: Literal["yes", "no", "unclear"]
    tree: str
    flat: str
    difference: Interval
    confidence: float


def questions_in(text: str, name: str) -> list[ExpectedAnswer]:
    """From JSONL, or from CSV with a header where `name` ends in .csv. Fields: `question`, and `passage` or `answer`
    (also `expected`, `expected_answer`, `expected_passage`). Raises NoQuestions."""
    rows = _csv_rows(text) if name.lower().endswith(".csv") else _jsonl_rows(text)
    found = [_expected(row, where) for where, row in rows]
    if not found:
        raise NoQuestions(f"{name} holds no question.")
    return found


def _jsonl_rows(text: str) -> list[tuple[str, Mapping[str, object]]]:
    rows: list[tuple[str, Mapping[str, object]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise NoQuestions(f"Line {number} is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise NoQuestions(f'Line {number} is no JSON object such as {{"question": "…", "passage": "…"}}.')
        rows.append((f"Line {number}", row))
    return rows


def _csv_rows(text: str) -> list[tuple[str, Mapping[str, object]]]:
    try:
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
        return [(f"Row {number}", row) for number, row in enumerate(reader, 1)]
    except csv.Error as error:
        raise NoQuestions(f"The CSV cannot be read: {error}") from None


def _expected(row: Mapping[str, object], where: str) -> ExpectedAnswer:
    fields = {str(name).strip().lower(): value for name, value in row.items()}

    def text_of(*names: str) -> str | None:
        for name in names:
            value = fields.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
        return None

    question = text_of("question", "query")
    passage = text_of("passage", "expected_passage")
    answer = text_of("answer", "expected_answer", "expected")
    if question is None:
        raise NoQuestions(f"{where} has no `question`.")
    if passage is None and answer is None:
        raise NoQuestions(f"{where} has neither a `passage` nor an `answer` to compare with.")
    return ExpectedAnswer(question, passage, answer)


def coverage(expected: ExpectedAnswer, texts: Sequence[str]) -> float:
    """How much of what was expected came back, from 0 to 1."""
    if expected.passage is not None:
        return passage_coverage(expected.passage, texts)
    assert expected.answer is not None
    wanted = set(index_terms(expected.answer) or index_terms(expected.answer, stop_words=True))
    came = {term for text in texts for term in index_terms(text, stop_words=True)}
    return len(wanted & came) / len(wanted) if wanted else 0.0


def recall(expected: ExpectedAnswer, texts: Sequence[str]) -> float | None:
    """1 where the passage came back, 0 where it did not, None where only an answer is known."""
    if expected.passage is None:
        return None
    return float(passage_coverage(expected.passage, texts) >= FOUND_FROM)


def passage_coverage(passage: str, texts: Sequence[str]) -> float:
    """The share of the passage's words that lie within a run of five that some text has."""
    wanted = words(passage)
    if not wanted:
        return 0.0
    n = min(_RUN, len(wanted))
    came = {run for text in texts for run in runs(words(text), n)}
    covered = [False] * len(wanted)
    for position, run in enumerate(runs(wanted, n)):
        if run in came:
            covered[position : position + n] = [True] * n
    return sum(covered) / len(wanted)


def words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def runs(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean and its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13), with a fixed seed."""
    scores: Scores = np.asarray(values, np.float64)
    drawn = np.random.default_rng(SEED).integers(0, len(scores), (RESAMPLES, len(scores)))
    means = scores[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(scores.mean()), float(low), float(high))


def verdict(tree: Mapping[str, Sequence[float]], flat: Mapping[str, Sequence[float]]) -> Verdict:
    """From the coverage of each question, by configuration, all at one budget. Both sides send their best; the more
    pairs there were to choose from the wider is the interval (Bonferroni), for the best of many looks good by luck."""
    best_tree = max(tree, key=lambda name: float(np.mean(tree[name])))
    best_flat = max(flat, key=lambda name: float(np.mean(flat[name])))
    confidence = 1 - 0.05 / (len(tree) * len(flat))
    gains = np.asarray(tree[best_tree], np.float64) - np.asarray(flat[best_flat], np.float64)
    difference = interval(gains.tolist(), confidence)
    helps: Literal["yes", "no", "unclear"] = "unclear"
    if difference.low > 0:
        helps = "yes"
    elif difference.high < 0:
        helps = "no"
    return Verdict(helps, best_tree, best_flat, difference, confidence)
