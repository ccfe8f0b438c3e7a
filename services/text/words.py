"""Index terms of a text in any language: what BM25 counts and what the lexical embedder hashes.

Stored vectors are made of these terms, and stored postings of these and others: a change here is a new model of
`services/text/lexical_vectors.py`, and a new `RULE` of `services/text/postings.py`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain, pairwise

from services.text.stop_words import STOP_WORDS

# Letters of scripts that put no spaces between words. Hangul is among them: its words carry particles that only
# pairs see through. The middle dot (U+30FB) and the ideographic full stop are punctuation and stay out.
_SPACELESS = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6"  # Thai, Lao
    "\u0f40-\u0f6c\u1000-\u102a\u1780-\u17b3"  # Tibetan, Burmese, Khmer
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"  # kana
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7a3"  # Hangul
)


def _combining_marks() -> str:
    """The marks that `\\w` leaves out: without them Hindi and Thai words fall apart at every vowel sign."""
    points = range(0x0300, 0x1DFF + 1)
    return "".join(chr(point) for point in points if unicodedata.category(chr(point)) in ("Mn", "Mc", "Me"))


_MARKS = re.escape(_combining_marks())
_LETTER = rf"[^\W_{_SPACELESS}]"
# Lengths are bounded: terms become keys of a database index, and a cache must not hold megabytes of base64.
_PIECE = rf"{_LETTER}{{1,64}}(?:[{_MARKS}]{{1,8}}{_LETTER}{{0,64}}){{0,64}}"
_TOKEN = re.compile(rf"\d{{1,32}}(?:[.,]\d{{1,32}}){{1,8}}|{_PIECE}(?:(?:[._-]|::){_PIECE}){{0,7}}")
_ASCII_TOKEN = re.compile(
    r"[0-9]{1,32}(?:[.,][0-9]{1,32}){1,8}|[A-Za-z0-9]{1,64}(?:(?:[._-]|::)[A-Za-z0-9]{1,64}){0,7}"
)
_RUN = re.compile(rf"(?:[{_SPACELESS}][{_MARKS}]*)+")
_CLUSTER = re.compile(rf".[{_MARKS}]*")

_JOINT = re.compile(r"[._-]|::")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_HUMP = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_PLURAL_OF_CAPITALS = re.compile(r"[A-Z]{2,}s")

# Diacritics of the alphabets, Arabic and Hebrew points: folded away, so that text typed without them is found.
# Vowel signs of Indic scripts are letters in all but name and stay; so does the breve of й.
_FOLDED_MARKS = re.compile("[\u0300-\u0305\u0307-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670]|(?<!и)\u0306")
_STROKED = str.maketrans(
    {"đ": "d", "ø": "o", "ł": "l", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
)


def words(text: str, *, stop_words: bool = False) -> list[str]:
    """The index terms of `text`, repeated as often as they occur.

    Terms are folded (NFKC, casefold, no diacritics, đ to d) and English endings are stripped. An identifier
    gives its parts and itself without joints (`HashMap`: hashmap, hash, map; `read-only`: read, only, readonly),
    so that any spelling of it finds any other. Runs of Han, kana, Hangul, Thai, Lao, Khmer, Burmese and Tibetan
    give pairs of letters, after the words that spaces set off. `stop_words` says whether stop words are kept.
    """
    terms_of = _terms if stop_words else _terms_without_stop_words
    if text.isascii():
        return list(chain.from_iterable(map(terms_of, _ASCII_TOKEN.findall(text))))
    text = unicodedata.normalize("NFKC", text)
    terms = list(chain.from_iterable(map(terms_of, _TOKEN.findall(text))))
    for run in _RUN.findall(text):
        terms += _pairs(run) if stop_words else [pair for pair in _pairs(run) if pair not in STOP_WORDS]
    return terms


def fold(word: str) -> str:
    """Lower case without diacritics; the form in which words are compared."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", word).casefold())
    return unicodedata.normalize("NFC", _FOLDED_MARKS.sub("", decomposed)).translate(_STROKED)


def _pairs(run: str) -> list[str]:
    letters = list(run) if run.isalpha() else _CLUSTER.findall(run)
    return [a + b for a, b in pairwise(letters)] if len(letters) > 1 else letters


@lru_cache(maxsize=1 << 16)
def _terms(token: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in _folded_parts(token))


@lru_cache(maxsize=1 << 16)
def _terms_without_stop_words(token: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in _folded_parts(token) if word not in STOP_WORDS)


def _folded_parts(token: str) -> list[str]:
    if token[0].isdigit() and token.replace(",", "").replace(".", "").isdigit():
        return _number(token)
    pieces = _JOINT.split(token)
    parts: list[str] = []
    for piece in pieces:
        parts.append(fold(piece))
        humps = _humps(piece)
        if len(humps) > 1:
            parts += map(str.lower, humps)
    if len(pieces) > 1:
        parts.append("".join(map(fold, pieces))[:64])
    return parts


def _number(token: str) -> list[str]:
    """`1,234.5` is 1234.5, `3.11` stays whole, `1,2,3` is three numbers."""
    return [token.replace(",", "")] if _THOUSANDS.fullmatch(token) else token.split(",")


def _humps(piece: str) -> list[str]:
    """`HashMap` is Hash and Map. `URLs` is one word."""
    if not piece.isascii() or piece.islower() or piece.isupper() or piece.istitle():
        return []
    return [] if _PLURAL_OF_CAPITALS.fullmatch(piece) else _HUMP.findall(piece)


def stem(word: str) -> str:
    """A folded word without English inflection (-s, -ed, -ing, -ly); anything but ASCII letters stays as it is.

    Less than Porter's stemmer does: derivations (-ation, -ment, -er) stay apart. On 406 questions over two
    collections that cost nothing against the Snowball stemmer, and stored indexes depend on no library's rules.
    """
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = _strip_plural(word)
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending):
            word = _strip_ending(word, ending)
            break
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word[-1] == "y" else word


def _strip_plural(word: str) -> str:
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]


def _strip_ending(word: str, ending: str) -> str:
    rest = word[: -len(ending)]
    if len(rest) < 3 or not any(letter in "aeiouy" for letter in rest):
        return word
    doubled = ending != "ly" and rest[-1] == rest[-2] and rest[-1] not in "lsz"
    return rest[:-1] if doubled else rest
