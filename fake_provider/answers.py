"""What the fake language model writes: sentences of what it was given, so that every name and number is to be found
there. What it is asked for it takes from the messages, as any model has to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from fake_provider.conversation import Conversation, Element
from fake_provider.sentences import sentences
from fake_provider.summaries import summary
from fake_provider.tokens import first_tokens
from fake_provider.words import content_words

_ECHO_TOKENS = 40
_SENTENCES_OF_A_SOURCE = 40
_MOST_STATEMENTS = 3
_NOTHING_FOUND = "The sources do not say."

_NOISE = re.compile(
    r"\W*(?:"
    r"(?:page|seite|p[aá]gina|trang|第)?\s*\d{1,4}(?:\s*(?:/|of|von|de|页)\s*\d{0,4})?"
    r"|skip to (?:main )?content|back to top|accept (?:all )?cookies|(?:previous|next)(?:\W+(?:previous|next))?"
    r"|home(?:\s*[|/>›»·]\s*[\w ]{1,24}){1,8}|table of contents|all rights reserved"
    r")\W*",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?…:。！？：][\"'”’»)\]]*\s*\Z")


def reply(conversation: Conversation, seed: int, *, as_json: bool) -> str:
    """Decisions where lists of numbers are asked for, else an answer to a question, else a summary; to anything else a
    short echo, in JSON where JSON is asked for."""
    if names := conversation.lists_of_numbers:
        decided = decision(conversation.elements)
        return json.dumps({name: decided.get(name, []) for name in names})
    if conversation.question is not None and conversation.elements:
        found = cited_answer(conversation.question, conversation.elements)
        return found or conversation.words_for_nothing_found or _NOTHING_FOUND
    if conversation.asks_for_summary:
        texts = [element.text for element in conversation.elements] or [conversation.user]
        return summary(texts, conversation.most_words, seed)
    echo = first_tokens(" ".join(conversation.user.split()), _ECHO_TOKENS) or "Nothing was said."
    return json.dumps({"echo": echo}, ensure_ascii=False) if as_json else echo


def decision(pieces: Sequence[Element]) -> dict[str, list[int]]:
    """Drops what is a page number or navigation and nothing else; joins a passage that begins within a sentence."""
    drop = [piece.number for piece in pieces if _NOISE.fullmatch(piece.text.strip())]
    join = [
        piece.number
        for before, piece in pairwise(pieces)
        if piece.begins and piece.text[:1].islower() and not _ENDED.search(before.text) and piece.number not in drop
    ]
    return {"drop": drop, "join": join}


def cited_answer(question: str, sources: Sequence[Element]) -> str:
    """The sentences that share most with the question, each with its source; empty if none shares anything."""
    found = sorted(_matches(set(content_words(question)), sources), key=lambda match: (-match[0], match[1]))
    statements: list[str] = []
    for score, number, sentence in found:
        if len(statements) == _MOST_STATEMENTS or score < found[0][0] / 2:
            break
        if all(not statement.startswith(sentence) for statement in statements):
            statements.append(f"{sentence} [{number}]")
    return " ".join(statements)


def _matches(asked: set[str], sources: Sequence[Element]) -> Iterator[tuple[float, int, str]]:
    for source in sources:
        for sentence in sentences(source.text)[:_SENTENCES_OF_A_SOURCE]:
            terms = set(content_words(sentence))
            if shared := asked & terms:
                yield len(shared) + 1 / (1 + len(terms)), source.number, sentence
