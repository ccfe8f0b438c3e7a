"""Refinement by a model: decisions, what of them is done, and windows that stay what they are when others change."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from services.chunking import CHUNKERS
from services.chunking.refine import (
    Decisions,
    Draft,
    Piece,
    Refinement,
    UnusableDecisions,
    allowed,
    decisions,
    draft_of,
    refine,
)
from services.cost.usage import Usage
from services.domain import ChunkingParams
from services.errors import BudgetExceeded, ProviderError, ProviderKeyRefused
from services.models.chat import ChatAnswer, ChatRequest
from tests.factories import TOPICS

NOTHING = '{"drop": [], "break_before": [], "join": []}'


@dataclass
class ScriptedModel:
    """Answers in order, the last one for ever; an error is raised."""

    script: list[str | Exception]
    asked: list[ChatRequest] = field(default_factory=list)
    provider: str = "scripted"
    model: str = "model"
    concurrency: int = 2

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Exception):
            raise said
        return ChatAnswer(said, "stop", Usage(calls=1))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatAnswer, None]:
        yield await self.complete(request)


def paragraphs(count: int) -> list[str]:
    topics = list(TOPICS.values())
    return [f"{topics[n % len(topics)]} This is said in part {n}, and nobody doubts it." for n in range(count)]


SOURCE = "# Book\n\n" + "\n\n".join([*paragraphs(8), "skip this menu here", *paragraphs(8)])


def draft(source: str = SOURCE) -> Draft:
    return draft_of(source, ChunkingParams(size=600, overlap=100))


def pieces_of(of: Draft) -> list[Piece]:
    return [piece for window in of.windows for piece in window]


def number_of(text: str, of: Draft) -> int:
    return next(n for n, piece in enumerate(pieces_of(of), 1) if text in piece.text)


async def refined(model: ScriptedModel, of: Draft) -> Refinement:
    async def progress(done: int, planned: int) -> None:
        assert 0 < done <= planned

    return await refine(model, of, uuid.uuid4(), progress)


async def test_what_a_model_drops_is_in_no_chunk_and_the_rest_is() -> None:
    of = draft()
    model = ScriptedModel([json.dumps({"drop": [number_of("menu", of)], "break_before": [], "join": []})])
    found = await refined(model, of)
    spans = CHUNKERS["markdown"](SOURCE, size=600, overlap=100, edits=found.edits)
    assert all("menu" not in SOURCE[span.start : span.end] for span in spans)
    held = "".join(SOURCE[span.start : span.end] for span in spans)
    assert all(paragraph in held for paragraph in paragraphs(8))
    assert [SOURCE[start:end] for start, end in found.edits.dropped] == ["skip this menu here"]


async def test_pieces_are_shown_as_data_with_the_beginnings_of_chunks_marked() -> None:
    of = draft()
    model = ScriptedModel([NOTHING])
    await refined(model, of)
    (request,) = model.asked
    assert request.json
    assert request.temperature == 0.0
    assert request.purpose == "refinement"
    assert request.user.count('note="*"') == sum(piece.begins for piece in pieces_of(of)) > 2
    assert all(piece.text in request.user for piece in pieces_of(of))


async def test_a_topic_that_begins_and_a_sentence_that_goes_on_move_the_borders() -> None:
    of = draft()
    begins = next(n for n, piece in enumerate(pieces_of(of), 1) if piece.begins and n > 1)
    other = next(n for n, piece in enumerate(pieces_of(of), 1) if not piece.begins and n > begins)
    model = ScriptedModel([json.dumps({"drop": [], "break_before": [other], "join": [begins]})])
    found = await refined(model, of)
    starts = {
        span.start + span.meta.get("overlap", 0)
        for span in CHUNKERS["markdown"](SOURCE, size=600, overlap=100, edits=found.edits)
    }
    assert pieces_of(of)[other - 1].start in starts
    assert pieces_of(of)[begins - 1].start not in starts


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I would drop nothing.",
        "[1, 2]",
        "{}",
        '{"drop": "all"}',
        '{"drop": [0]}',
        '{"drop": [99]}',
        '{"drop": [-1]}',
        '{"drop": [true]}',
        '{"drop": [1.0]}',
        '{"drop": [1, 2',
        '{"drop": ["1"]}',
        '{"remove": [1]}',
        "{" * 50_000 + "}",
    ],
)
def test_what_is_no_decision_is_refused(answer: str) -> None:
    with pytest.raises(UnusableDecisions):
        decisions(answer, 5)


def test_a_decision_is_read_out_of_a_fence() -> None:
    found = decisions('```json\n{"drop": [2, 2], "join": []}\n```', 5)
    assert found == Decisions(frozenset({2}), frozenset(), frozenset())


def test_pieces_that_a_reader_may_look_for_stay() -> None:
    source = SOURCE + "\n\n```\ncode\n```\n\nask Abara\n\n| a |\n|---|\n| b |\n\nit costs 12\n\nsee [this](x.md)\n"
    of = draft(source)
    last = range(len(pieces_of(of)) - 4, len(pieces_of(of)) + 1)
    assert {piece.kind for piece in pieces_of(of)[-5:]} == {"fence", "paragraph", "table"}
    edits = allowed(decisions(json.dumps({"drop": list(last)}), len(pieces_of(of))), pieces_of(of))
    assert edits.dropped == ()


def test_who_drops_more_than_noise_can_be_is_not_listened_to() -> None:
    of = draft("# Book\n\n" + "\n\n".join(["all of this is of no use to anybody who reads it"] * 20))
    assert allowed(decisions('{"drop": [2]}', len(pieces_of(of))), pieces_of(of)).dropped
    with pytest.raises(UnusableDecisions):
        allowed(decisions('{"drop": [2, 3, 4, 5, 6, 7]}', len(pieces_of(of))), pieces_of(of))


async def test_a_window_without_a_usable_answer_is_asked_about_twice_and_left() -> None:
    of = draft()
    model = ScriptedModel(["what?", '{"drop": [1000]}'])
    found = await refined(model, of)
    assert len(model.asked) == 2
    assert model.asked[0].user != model.asked[1].user
    assert found == Refinement(left=((pieces_of(of)[0].start, pieces_of(of)[-1].end),), windows=1)


async def test_a_second_answer_that_is_right_counts() -> None:
    of = draft()
    found = await refined(ScriptedModel(["what?", json.dumps({"drop": [number_of("menu", of)]})]), of)
    assert (len(found.edits.dropped), found.left) == (1, ())


async def test_a_provider_that_fails_leaves_the_window_and_one_that_refuses_the_key_ends_the_work() -> None:
    found = await refined(ScriptedModel([ProviderError("out")]), draft())
    assert (found.edits.dropped, len(found.left)) == ((), 1)
    for final in (ProviderKeyRefused("no"), BudgetExceeded("enough")):
        with pytest.raises(type(final)):
            await refined(ScriptedModel([final]), draft())


async def test_a_text_without_pieces_is_not_asked_about() -> None:
    model = ScriptedModel([NOTHING])
    assert await refined(model, draft("")) == Refinement()
    assert model.asked == []


@pytest.mark.parametrize("place", [0, 50, 199, 399])
def test_a_change_touches_the_windows_around_it_alone(place: int) -> None:
    texts = paragraphs(400)
    asked_before = shown("\n\n".join(texts))
    assert len(asked_before) > 10
    for changed in (
        [*texts[:place], "Another sentence altogether stands here.", *texts[place + 1 :]],
        [*texts[:place], "One paragraph was put in here.", *texts[place:]],
        [*texts[:place], *texts[place + 1 :]],
    ):
        assert len(shown("\n\n".join(changed)) - asked_before) <= 3


def shown(source: str) -> set[tuple[tuple[str, bool], ...]]:
    """The windows of a text as a model sees them."""
    return {tuple((piece.text, piece.begins) for piece in window) for window in draft(source).windows}
