"""What the fake language model writes: sentences of what it was given, so that every name and number is to be found
there. The product's own prompts are recognised by the beginning of their system message."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from constants.prompts import ANSWER, NOT_IN_DATASET, REFINEMENT, SUMMARY, Prompt
from services.text.key_phrases import titles_of
from services.text.sentences import ReadSentence, read_sentences
from services.text.words import words
from utils.tokens import estimate_tokens, truncate_to_tokens

_RECOGNISED_BY = 64  # characters of a system message
_MAX_WORDS = re.compile(r"\b(\d{1,6}) words")
_DEFAULT_MAX_WORDS = 150
_ECHO_TOKENS = 40
_SENTENCES_OF_A_SOURCE = 40
_MOST_STATEMENTS = 3

# <tag mark n="1" …> text </tag mark>: only the element's own mark closes it, whatever its text looks like.
_ELEMENT = re.compile(
    r'^<(?P<tag>passage|piece|source) (?P<mark>\S+) n="(?P<number>\d+)"(?P<note>[^\n]*)>\n'
    r"(?P<text>.*?)\n?^</(?P=tag) (?P=mark)>$",
    re.DOTALL | re.MULTILINE,
)
_QUESTION_LABEL = re.compile(r"^\s*question\s*:", re.IGNORECASE)
_OTHER_TAG = re.compile(r"^</?[a-z]+ [^\n]*>$", re.MULTILINE)

_NOISE = re.compile(
    r"\W*(?:"
    r"(?:page|seite|p[aá]gina|trang|第)?\s*\d{1,4}(?:\s*(?:/|of|von|de|页)\s*\d{0,4})?"
    r"|skip to (?:main )?content|back to top|accept (?:all )?cookies|(?:previous|next)(?:\W+(?:previous|next))?"
    r"|home(?:\s*[|/>›»·]\s*[\w ]{1,24}){1,8}|table of contents|all rights reserved"
    r")\W*",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?…:。！？：][\"'”’»)\]]*\s*\Z")


@dataclass(frozen=True, slots=True)
class Element:
    """A numbered piece of data out of a prompt. `begins` says that it begins a passage (`*`)."""

    number: int
    text: str
    begins: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    system: str
    user: str

    @property
    def elements(self) -> list[Element]:
        found = _ELEMENT.finditer(self.user)
        return [Element(int(match["number"]), match["text"], "*" in match["note"]) for match in found]

    @property
    def rest(self) -> str:
        """What stands outside all elements: the question, in a prompt that has one."""
        outside = _OTHER_TAG.sub("", _ELEMENT.sub("", self.user))
        return _QUESTION_LABEL.sub("", outside).strip()

    def has(self, prompt: Prompt) -> bool:
        return self.system.startswith(prompt.system[:_RECOGNISED_BY])


def reply(conversation: Conversation, seed: int, *, as_json: bool) -> str:
    """A summary, a refinement's decision or an answer to those prompts of ours; to others a short echo, in JSON where
    JSON is asked for."""
    if conversation.has(SUMMARY):
        return summary(conversation, seed)
    if conversation.has(REFINEMENT):
        return json.dumps(decision(conversation.elements))
    if conversation.has(ANSWER):
        return cited_answer(conversation.rest, conversation.elements)
    echo = truncate_to_tokens(" ".join(conversation.user.split()), _ECHO_TOKENS) or "Nothing was said."
    return json.dumps({"echo": echo}, ensure_ascii=False) if as_json else echo


def summary(conversation: Conversation, seed: int) -> str:
    """A title, an empty line, and sentences of all passages in their order, within the words that are allowed. Seed 0
    takes the first sentences of each passage, any other its own choice."""
    passages = [_readable(element.text) for element in conversation.elements] or [_readable(conversation.user)]
    allowed = int(found[1]) if (found := _MAX_WORDS.search(conversation.system)) else _DEFAULT_MAX_WORDS
    chosen = _chosen(passages, allowed, seed)
    text = " ".join(sentence.shown for passage in chosen for sentence in passage)
    if not text:
        return "Untitled\n\nThe passages are empty."
    if _words_in(text) > allowed:
        text = truncate_to_tokens(text, max(1, allowed * 4 // 3))
    return f"{titles_of(chosen)[0]}\n\n{text}"


def _chosen(passages: Sequence[Sequence[ReadSentence]], allowed: int, seed: int) -> list[list[ReadSentence]]:
    """Turn by turn one sentence of each passage while they fit; after the first turn at most half of all words. The
    very first is taken in any case."""
    sizes = [[_words_in(sentence.shown) for sentence in passage] for passage in passages]
    orders = [_order(passage, seed) for passage in passages]
    taken: list[set[int]] = [set() for _ in passages]
    most, spent = allowed, 0
    for turn in range(max(map(len, orders), default=0)):
        for place, order in enumerate(orders):
            if turn < len(order) and (spent + sizes[place][order[turn]] <= most or not spent):
                taken[place].add(order[turn])
                spent += sizes[place][order[turn]]
        most = min(allowed, sum(map(sum, sizes)) // 2)
    return [[passages[place][index] for index in sorted(indices)] for place, indices in enumerate(taken)]


def _order(passage: Sequence[ReadSentence], seed: int) -> list[int]:
    if seed == 0:
        return list(range(len(passage)))
    return sorted(range(len(passage)), key=lambda index: _draw(seed, passage[index].shown))


def _draw(seed: int, text: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{text}".encode("utf-8", "replace"), digest_size=8).digest()


def _readable(text: str) -> list[ReadSentence]:
    """Sentences of prose; where there is none any line, of code and tables too."""
    sentences = [sentence for sentence in read_sentences(text) if sentence.shown.strip()]
    for kinds in (("prose",), ("prose", "item"), ("heading", "table", "code")):
        if found := [sentence for sentence in sentences if sentence.kind in kinds]:
            return found
    return sentences


def _words_in(text: str) -> int:
    """Where words are not set apart, three to four letters' tokens count for three words."""
    return max(len(text.split()), estimate_tokens(text) * 3 // 4)


def decision(pieces: Sequence[Element]) -> dict[str, list[int]]:
    """Drops what is a page number or navigation and nothing else; joins a passage that begins within a sentence."""
    drop = [piece.number for piece in pieces if _NOISE.fullmatch(piece.text.strip())]
    join = [
        piece.number
        for before, piece in pairwise(pieces)
        if piece.begins and piece.text[:1].islower() and not _ENDED.search(before.text) and piece.number not in drop
    ]
    return {"drop": drop, "break_before": [], "join": join}


def cited_answer(question: str, sources: Sequence[Element]) -> str:
    """The sentences that share most with the question, each with its source; or that nothing does."""
    asked = set(words(question))
    found = sorted(_matches(asked, sources), key=lambda match: (-match[0], match[1]))
    statements: list[str] = []
    for score, number, sentence in found:
        if len(statements) == _MOST_STATEMENTS or score < found[0][0] / 2:
            break
        if all(not statement.startswith(sentence) for statement in statements):
            statements.append(f"{sentence} [{number}]")
    return " ".join(statements) or NOT_IN_DATASET


def _matches(asked: set[str], sources: Sequence[Element]) -> Iterator[tuple[float, int, str]]:
    for source in sources:
        for sentence in _readable(source.text)[:_SENTENCES_OF_A_SOURCE]:
            terms = set(words(sentence.shown))
            if shared := asked & terms:
                yield len(shared) + 1 / (1 + len(terms)), source.number, sentence.shown
