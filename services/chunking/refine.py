"""Refinement of chunks: a model says which numbered pieces are noise and where passages should begin; code decides what
of that is done, and the chunker cuts again around it. What is stored stays a span of the source.

draft (pure) -> windows of pieces, cut by content -> one question each, at once -> checked decisions -> edits.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from constants.prompts import REFINEMENT, marked
from services.chunking.atoms import atoms_of
from services.chunking.document import MarkdownDocument, parse_markdown
from services.chunking.edits import NO_EDITS, Edits, Span, edited
from services.chunking.guards import MOST_DROPPED, may_be_dropped
from services.chunking.markdown import packed
from services.chunking.noise import noise
from services.chunking.splitting import Atom
from services.domain import ChunkingParams
from services.errors import BudgetExceeded, ProviderBadAnswer, ProviderError, ProviderRateLimited, ProviderUnusable
from services.models.chat import ChatAnswer, ChatModel, ChatRequest
from services.text.payload import LONGEST_COUNTED, ThinText, thin
from utils.batching import windows
from utils.concurrency import together
from utils.tokens import estimate_tokens

logger = logging.getLogger(__name__)

# Tokens of the text that one question shows. Its instructions are 350 more; windows of a few hundred tokens find topic
# shifts as well (LumberChunker: 550) and cost twice as much.
WINDOW_TOKENS = 2000
# A window ends after one piece of so many, by content: with some twenty pieces in its second half nearly always.
ONE_IN = 4
# What any other window would meet too.
FINAL = (BudgetExceeded, ProviderUnusable, ProviderRateLimited)
INSIST = "\n\nAnswer with the JSON object alone, and with numbers of these pieces alone."


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of the source or the part of one: `begins` says that a chunk would begin with it, were its window all
    there is."""

    start: int
    end: int
    kind: str
    text: str
    begins: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model is asked about: the pieces that the heuristic left, in reading order and windows, and what it
    dropped."""

    windows: tuple[tuple[Piece, ...], ...]
    noise: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Refinement:
    """`left` are the ranges of windows that stay as they were cut, because no answer about them was of use."""

    edits: Edits = NO_EDITS
    left: tuple[Span, ...] = ()
    windows: int = 0


class UnusableDecisions(ProviderBadAnswer):
    """The model's answer is no decision about the pieces that it was shown."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Decisions:
    """Numbers of pieces, counted from 1."""

    drop: frozenset[int]
    break_before: frozenset[int]
    join: frozenset[int]


Progress = Callable[[int, int], Awaitable[None]]


def heuristic(source: str) -> Refinement:
    """What can be said without a model."""
    shown = thin(source, LONGEST_COUNTED)
    found = noise(parse_markdown(shown.text))
    return Refinement(Edits(dropped=tuple(_in_source(shown, *span) for span in found)))


def draft_of(source: str, chunking: ChunkingParams) -> Draft:
    """Runs in the process pool. Windows are cut by content, and what they show follows from their own text alone: what
    is changed or put in touches its own window, not all that follow."""
    shown = thin(source, LONGEST_COUNTED)
    document = parse_markdown(shown.text)
    found = noise(document)
    runs = edited(shown.text, atoms_of(document, chunking.size), Edits(dropped=found))
    atoms = [(number, atom) for number, run in enumerate(runs) for atom in run]
    texts = [shown.text[atom.start : atom.end] for _, atom in atoms]
    ranges = windows([estimate_tokens(text) for text in texts], texts, WINDOW_TOKENS, one_in=ONE_IN)
    cut = [
        [[atom for _, atom in run] for _, run in groupby(atoms[window.start : window.stop], key=itemgetter(0))]
        for window in ranges
    ]
    asked = tuple(
        tuple(
            replace(piece, start=shown.original(piece.start), end=shown.original(piece.end))
            for piece in _pieces(document, runs, chunking)
        )
        for runs in cut
    )
    return Draft(asked, tuple(_in_source(shown, *span) for span in found))


def _in_source(shown: ThinText, start: int, end: int) -> Span:
    return shown.original(start), shown.original(end)


def _pieces(document: MarkdownDocument, runs: Sequence[Sequence[Atom]], chunking: ChunkingParams) -> Iterator[Piece]:
    for run in runs:
        firsts = {first for first, _ in packed(document, run, chunking.size, chunking.overlap)}
        for place, atom in enumerate(run):
            text = document.source[atom.start : atom.end]
            yield Piece(atom.start, atom.end, atom.block.kind, text, begins=place in firsts)


async def refine(model: ChatModel, draft: Draft, version_id: UUID, progress: Progress) -> Refinement:
    """Asks about all windows of a version, `model.concurrency` at a time. Raises BudgetExceeded, ProviderUnusable,
    ProviderRateLimited; any other failure leaves its window as it is."""
    slots = asyncio.Semaphore(model.concurrency)
    failures: list[Exception] = []
    done = 0

    async def one(pieces: Sequence[Piece]) -> Edits | None:
        nonlocal done
        async with slots:
            if failures:
                return None
            try:
                edits = await asked(model, pieces, version_id)
            except FINAL as error:
                failures.append(error)
                return None
        done += 1
        await progress(done, len(draft.windows))
        return edits

    # Of windows that are asked about when another fails the answers are waited for: they are paid, and kept.
    answers = await together(*(one(pieces) for pieces in draft.windows))
    if failures:
        raise failures[0]
    edits = [answer for answer in answers if isinstance(answer, Edits)]
    return Refinement(
        Edits(
            dropped=tuple(sorted([*draft.noise, *(span for edit in edits for span in edit.dropped)])),
            breaks=frozenset().union(*(edit.breaks for edit in edits)),
            joins=frozenset().union(*(edit.joins for edit in edits)),
        ),
        left=tuple(
            (pieces[0].start, pieces[-1].end)
            for pieces, answer in zip(draft.windows, answers, strict=True)
            if answer is None
        ),
        windows=len(draft.windows),
    )


async def asked(model: ChatModel, pieces: Sequence[Piece], version_id: UUID) -> Edits | None:
    """What is to be done in one window; None where the model did not say it in two attempts."""
    for note in ("", INSIST):
        try:
            return decided(await model.complete(replace(question(pieces, note), sources=(version_id,))), pieces)
        except UnusableDecisions as error:
            logger.info("a refinement is of no use", extra={"error": error.as_json()})
        except FINAL:
            raise
        except ProviderError as error:
            logger.warning("a window stays as it was cut", extra={"error": error.as_json()})
            return None
    return None


def question(pieces: Sequence[Piece], note: str) -> ChatRequest:
    texts = [piece.text for piece in pieces]
    # Drawn from all texts together: no text can know the mark that closes it, and the same window asks the same.
    mark = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    shown = [
        marked("piece", mark, number, piece.text, "*" if piece.begins else "") for number, piece in enumerate(pieces, 1)
    ]
    return ChatRequest(
        purpose="refinement",
        system=REFINEMENT.system,
        user="\n".join(shown) + note,
        max_tokens=100 + 6 * len(pieces),
        json=True,
        usable=lambda answer: is_decision(answer, pieces),
    )


def is_decision(answer: ChatAnswer, pieces: Sequence[Piece]) -> bool:
    try:
        decided(answer, pieces)
    except UnusableDecisions:
        return False
    return True


def decided(answer: ChatAnswer, pieces: Sequence[Piece]) -> Edits:
    """What an answer says is to be done. Raises UnusableDecisions."""
    if answer.finish_reason != "stop":
        raise UnusableDecisions("The answer broke off or was refused.")
    return allowed(decisions(answer.text, len(pieces)), pieces)


def decisions(answer: str, count: int) -> Decisions:
    """Reads the object out of an answer, with or without a fence around it. Raises UnusableDecisions for
    anything but lists of numbers between 1 and `count`."""
    try:
        found = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
    except (ValueError, RecursionError):
        raise UnusableDecisions("The answer holds no JSON object.") from None
    names = ("drop", "break_before", "join")
    lists = [found.get(name, []) for name in names] if isinstance(found, dict) else []
    if not lists or not any(name in found for name in names):
        raise UnusableDecisions("The answer has none of the three lists.")
    for numbers in lists:
        if not isinstance(numbers, list) or not all(type(n) is int and 1 <= n <= count for n in numbers):
            raise UnusableDecisions("The answer names pieces that do not exist.")
    return Decisions(*(frozenset(numbers) for numbers in lists))


def allowed(wanted: Decisions, pieces: Sequence[Piece]) -> Edits:
    """What of the decisions may be done. Pieces that a reader may look for stay. Raises UnusableDecisions for
    those that drop more of the window than noise is likely to be: such an answer misunderstood the task."""
    numbered = dict(enumerate(pieces, 1))
    drop = {number for number in wanted.drop if may_be_dropped(numbered[number].kind, numbered[number].text)}
    length = sum(numbered[number].end - numbered[number].start for number in drop)
    if length > MOST_DROPPED * sum(piece.end - piece.start for piece in pieces):
        raise UnusableDecisions("The answer drops more of the window than it may.")
    # Of the first piece the model has not seen what stands before it.
    join = {number for number in wanted.join - wanted.drop if number > 1 and numbered[number].begins}
    return Edits(
        dropped=tuple((numbered[number].start, numbered[number].end) for number in sorted(drop)),
        breaks=frozenset(numbered[number].start for number in wanted.break_before - wanted.drop - join),
        joins=frozenset(numbered[number].start for number in join),
    )
