"""What an answer to a question looks like, by how the question is worded: a definition, a number, steps, a yes or no.

Short lists for the languages that questions mostly come in; a question that none of them knows is answered by what
shares most with it. Pure.
"""

from __future__ import annotations

import re
from typing import Literal

from services.text.sentence_cues import DEFINING, DEFINING_PARTS
from services.text.words import fold, words

Shape = Literal["definition", "number", "steps", "yes or no", "any"]

# All folded: lower case, without diacritics. The first that matches decides.
_SHAPES: tuple[tuple[Shape, str], ...] = (
    (
        "number",
        r"^(?:how (?:many|much|long|often|far|fast|big|large|deep|old)|when|what time)\b|\bhow (?:many|much)\b"
        r"|\bwhat (?:is|are) the (?:size|number|limit|price|cost|quorum|age|length|depth|speed|temperature)\b"
        r"|^(?:wie (?:viele?|lange?|oft|weit|hoch|gross|tief)|wann)\b|\bcombien\b|^quand\b|a quelle heure"
        r"|\bcuant[oa]s?\b|^cuando\b"
        r"|a que hora|^(?:quanto|quanti|quando)|\bсколько\b|^когда\b|\bbao (?:nhieu|lau|gio|xa)\b|\bmay gio\b|khi nao"
        r"|多少|几(?:点|个|天|次|年|小时)|幾|什么时候|多(?:久|长|大|深|远)|いくら|いくつ|何(?:時|人|個|回|日|年"
        r"|分)|いつ|몇|얼마|언제",
    ),
    (
        "steps",
        r"^how (?:do|can|should|would|to|does one|are|is)\b|^wie (?:kann|mache?|geht|soll|werden|wird"
        r"|[a-z]+e ich)\b|^comment\b"
        r"|^como\b|^как\b|\blam (?:the nao|sao|cach nao)\b|nhu the nao|怎么|怎樣|怎样|如何|どうやって|どうすれば"
        r"|方法|어떻게",
    ),
    (
        "definition",
        r"^(?:what|who) (?:is|are|was|were)\b|^what does .* mean\b|^(?:was|wer) (?:ist|sind|bedeutet)\b"
        r"|^qu.?est-ce qu|^que signifie|^(?:que|quien) (?:es|son|significa)\b|^o que (?:e|sao|significa)\b"
        r"|^что (?:такое|значит)"
        r"|\bla gi\W*$|是什么|是什麼|什么是|什麼是|とは|って何|무엇",
    ),
    (
        "yes or no",
        r"^(?:is|are|was|were|do|does|did|can|could|may|must|should|will|has|have)\b|^(?:ist|sind|darf|kann|muss"
        r"|gibt es|hat)\b"
        r"|^(?:est-ce|peut-on|y a-t-il|faut-il|puis-je)|^(?:se puede|puedo|hay|es|e possivel|posso)\b|\bли\b|^можно"
        r"|\b(?:khong|chua)\W*$|吗\W*$|嗎\W*$|(?:ですか|ますか|できますか)\W*$",
    ),
)
_PATTERNS = tuple((shape, re.compile(pattern)) for shape, pattern in _SHAPES)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|eins?|zwei|drei|deux|trois|dos|tres)\b"
)
_VERDICT = re.compile(
    r"\b(?:yes|no|not|never|may|must|cannot|can|only|allowed|forbidden|ja|nein|nicht|nie|darf|durfen|erlaubt"
    r"|verboten|oui|non|pas"
    r"|si|нет|да|нельзя|можно|khong|duoc|co the)\b|不|可以|必须|禁止|できま|はい|いいえ|ません"
)
_IMPERATIVE_CODE = re.compile(r"`[^`]+`")

_LOOKED_AT = 400  # characters of a question
# What a sentence of the right shape counts more than another with the same words.
FITS = 1.35
# Words of a sentence within which a definition has its subject.
_SUBJECT = 4
_ARTICLE = 3  # letters of what may stand before a subject
# "X is a …" says of what kind X is; "X is easy" does not.
_KINDS = frozenset(["a", "an", "one", "any", "the", "ein", "eine", "un", "une", "uno", "una", "um", "uma", "mot"])
_KIND = 1.15


def shape_of(question: str) -> Shape:
    folded = re.sub(r"^\W+", "", fold(question[:_LOOKED_AT]))
    return next((shape for shape, pattern in _PATTERNS if pattern.search(folded)), "any")


def fitness(shape: Shape, asked: frozenset[str], shown: str, *, brings: bool) -> float:
    """How much a sentence looks like the answer. `brings`: it leads in a list or code."""
    if shape == "number":
        return FITS if _NUMBER.search(fold(shown)) else 1.0
    if shape == "steps":
        return FITS if brings or _IMPERATIVE_CODE.search(shown) else 1.0
    if shape == "yes or no":
        return FITS if _VERDICT.search(fold(shown)) else 1.0
    if shape == "definition":
        return _defines(asked, shown)
    return 1.0


def _defines(asked: frozenset[str], shown: str) -> float:
    """A definition begins with what it defines: `A crate is …`, `Osgood: the dummy …`."""
    subject, colon, rest = shown.partition(":")
    if colon and rest.strip() and asked and set(words(subject)) == asked:
        return FITS * FITS
    opening = words(shown, stop_words=True)[: 3 * _SUBJECT]
    first = next((at for at, word in enumerate(opening) if word in asked), _SUBJECT)
    owner = 2 if opening[1:2] == ["s"] else 0  # “Rust’s closures are …”
    if first > max(1, owner) or (first == 1 and len(opening[0]) > _ARTICLE):
        return 1.0
    after = opening[first + 1 :][: len(asked)]
    at = next((at for at, word in enumerate(after, first + 1) if word in DEFINING), None)
    if at is None:
        return FITS if any(part in shown[:40] for part in DEFINING_PARTS) else 1.0
    return FITS * FITS * (_KIND if opening[at + 1 : at + 2] and opening[at + 1] in _KINDS else 1.0)
