"""The terms that the index of words knows a text and a question by: one rule for both.

They are those of `words`, of a text in its normal form, and such as `words` has none for: names with signs, versions
within names, single ideographs, and words as they were typed. A change here is another `RULE` of
`services/text/postings.py`, by which stored postings are made anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from services.text.stop_words import STOP_WORDS
from services.text.words import fold, words

# Terms are keys of a btree, whose entries hold 2,704 bytes; a longer term than this is nobody's question.
LONGEST_TERM = 128

# What is not seen: soft hyphens, joiners, marks of direction, variation selectors, byte order marks. A zero-width
# space parts words in Khmer, Thai and Burmese, and stays there.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180e\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]|(?<![\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff])\u200b"
)
_DIGIT = re.compile(r"(?![0-9])\d")
# Dots below and beside letters that many keyboards lack: canonical combining class 7 of the Unicode standard.
_NUKTAS = "".join(chr(point) for point in range(0x0900, 0x1C50) if unicodedata.combining(chr(point)) == 7)
# Letters that keyboards for Arabic, Persian, Urdu and Kurdish have in place of each other; hyphens.
_TWINS = {"ک": "ك", "ی": "ي", "ى": "ي", "ې": "ي", "ہ": "ه", "ھ": "ه", "ە": "ه", "\u2010": "-", "\u2011": "-"}
_ALIKE = str.maketrans(_TWINS | dict.fromkeys(_NUKTAS))

_SIGNED = re.compile(r"(?<!\w)(?:[^\W\d_]{1,16}(?:\+\+|#)(?![+#])|(?<![.)\]])\.[^\W\d_]\w{1,15}(?!\w))")
_VERSION = re.compile(r"(?P<name>[^\W\d_]{1,64})[-_]?(?P<version>\d{1,32}(?:\.\d{1,32}){0,8})(?![^\W_])")
# In front of a word with its capitals. Such terms only break ties (`statements/passages.sql`): at full weight they cost
# .04 of recall@5 on mdspans, where questions begin with capitals as sentences do.
TYPED = "^"
# Han, kana, Hangul: each alone too, since a question may have one alone.
_SINGLE = re.compile(
    "[\u3005\u3007\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3\U00020000-\U0003ffff]"
)
_RUN = re.compile(f"{_SINGLE.pattern}{{2,}}")
_TYPED = re.compile(r"[^\W\d_][^\W_]{0,63}")


def index_terms(text: str) -> list[str]:
    """The terms of a text or of a question as the index knows them, stop words left out; repeated as often as they
    occur."""
    text = normal_form(text)
    terms = words(text)
    terms += map(str.casefold, _SIGNED.findall(text))
    terms += _versions(text)
    terms += _as_typed(text)
    if not text.isascii():
        terms += _singles(text)
    return [term[:LONGEST_TERM] for term in terms]


def normal_form(text: str) -> str:
    """NFKC without what is not seen, with digits of one script, and one letter for those that keyboards mix up."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
    text = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    return text.translate(_ALIKE)


def _versions(text: str) -> Iterator[str]:
    """`python3.11` and `GPT-4.1` have their version and their name beside it, `windows11` too."""
    for found in _VERSION.finditer(text):
        name, version = found["name"], found["version"]
        if "." in version:
            yield version
        if len(name) > 2 and (name + version in found[0] or "." in version):
            yield from words(name)
            if "." not in version:
                yield version


def _as_typed(text: str) -> Iterator[str]:
    for word in _TYPED.findall(text):
        yield from _spellings(word)


@lru_cache(maxsize=1 << 16)
def _spellings(word: str) -> tuple[str, ...]:
    """A word with its accents, and marked with its capitals, where it has some: so it is found before what folds to
    it."""
    lower = word.lower()
    plain = fold(word)
    if plain in STOP_WORDS and not (len(word) > 1 and word.isupper()):
        return ()
    return (*([lower] if lower != plain else []), *([TYPED + word] if word != lower else []))


def _singles(text: str) -> Iterator[str]:
    """Letters of runs; one that stands alone is a term of `words` already."""
    for run in _RUN.findall(text):
        for letter in run:
            if letter not in STOP_WORDS:
                yield letter
