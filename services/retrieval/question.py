"""How a question is worded: whether it is about a whole, what it names, and what passages are ranked by. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.retrieval.question_words import ASKING, ASKING_PARTS, NARROW, WHOLE
from services.text.words import fold, words

# Characters of a question that say how it is worded; what is longer is a text.
_LOOKED_AT = 400
_WHOLE = re.compile("|".join(WHOLE))
_NARROW = re.compile("|".join(NARROW))
_ASKING = frozenset(words(ASKING))
_PARTS = re.compile("|".join(sorted(map(re.escape, ASKING_PARTS.split()), key=len, reverse=True)))
_LETTERS = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"  # of scripts without spaces
_SPACELESS = re.compile(f"[{_LETTERS}]")
_JOINT = re.compile("(?<=\\w)['’‘-](?=\\w)")
# Hiragana that stands alone between two removed parts is a particle.
_PARTICLES = re.compile("(?<![\u3040-\u9fff])[\u3041-\u3096ー]{1,4}(?![\u3040-\u9fff])")
# An order that comes before its object: "Summarise the discussion of …", "Please describe …".
_ORDER = re.compile(
    r"\s*(?:(?:please|bitte|kindly|(?:can|could|would) you|briefly)\s+)*"
    r"(?:summari[sz]e|describe|explain|discuss|outline|list|give|tell|provide|sum up|fasse?n?|beschreibe"
    r"|erkl[aä]re|nenne"
    r"|gib|r[eé]sume[zr]?|d[eé]cris|explique[zr]?|donne[zr]?|explica|dame|перескажи|опиши|объясни|tóm tắt"
    r"|giải thích)\b"
    r"(?:\s+(?:me|us|mir|uns|moi|an?|the|das|die|der|den|les?|la|el|une?|una|eine?n?)\b)*"
    r"(?:\s+(?:brief|short|full|whole|overview|summary|discussion|[uü]berblick|zusammenfassung|aper[cç]u"
    r"|r[eé]sum[eé]n?)\b)*"
    r"(?:\s+(?:of|about|on|over|[uü]ber|von|du|de|sobre)\b)*\s*",
    re.IGNORECASE,
)
_ACCORDING = re.compile(
    r",?\s*\b(?:according to|based on|laut|gem[aä](?:ss|ß)|selon|d[’']apr[eè]s|seg[uú]n) (?:(?:the|this|dem"
    r"|der|diesem|le|la|ce"
    r"|el|este)\s+)?(?:text|passage|article|author|document|book|story|transcript|meeting|dokument|buch|texte"
    r"|livre|texto"
    r"|documento|libro)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """`whole`: worded as a question about a whole. `topic` are the terms of what it names beside that, without words of
    asking; `text` is what passages are ranked by, the question without its orders; `folded` is all of it."""

    whole: bool
    topic: tuple[str, ...]
    text: str
    folded: str


def read_question(question: str) -> Asked:
    folded = " ".join(fold(question).split())
    plain = _plain(folded)
    topic = tuple(dict.fromkeys(_topic(plain)))
    beginning = folded[:_LOOKED_AT]
    whole = bool(_WHOLE.search(beginning)) and not (topic and _NARROW.search(beginning))
    return Asked(whole, topic, _without_orders(question), plain)


def named(asked: Asked, name: str) -> float:
    """How surely the question, beside its words of asking, names `name`: 0 to 1, of which 1 is word for word."""
    called = _plain(fold(name))
    if len(called) > 1 and called in asked.folded:
        here = re.search(rf"(?<![^\W{_LETTERS}]){re.escape(called)}(?![^\W{_LETTERS}])", asked.folded)
        if here and not _topic(asked.folded[: here.start()] + " " + asked.folded[here.end() :]):
            return 1.0
    topic, own = set(asked.topic), set(_topic(called))
    return len(topic) / len(own) if topic and topic <= own else 0.0


def is_asking(term: str) -> bool:
    return term in _ASKING


def is_spaceless(term: str) -> bool:
    return bool(_SPACELESS.match(term))


def _plain(folded: str) -> str:
    return " ".join(_JOINT.sub(" ", folded).split())


def _topic(folded: str) -> list[str]:
    if _SPACELESS.search(folded):
        folded = _PARTICLES.sub(" ", _PARTS.sub(" ", folded))
    return [term for term in words(folded) if term not in _ASKING]


def _without_orders(question: str) -> str:
    """The question without what only says how to answer; as it is where nothing else would be left."""
    text = _ACCORDING.sub(" ", question)
    if _SPACELESS.search(text) and len(text) <= _LOOKED_AT:
        text = _WHOLE.sub(" ", text)
    elif order := _ORDER.match(text):
        text = text[order.end() :]
    return text if words(text) else question
