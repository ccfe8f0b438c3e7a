"""Token counts without a tokenizer: an estimate that needs no download and errs on the safe side.

A language model's vocabulary takes about 3.7 ASCII characters a token, one token for an ideograph, syllable or kana,
and three quarters of a token for any other letter (Vietnamese with its marks, Cyrillic, Arabic, emoji). Measured
against o200k it counts 1.03 to 1.26 times as much for most scripts, 1.6 for Hindi and Ukrainian, 2.0 for Russian, and
for a few short pages .92 to .99; characters / 4 counts Chinese two to four times too low. docs/costs.md has the table.
"""

from __future__ import annotations

import re

from utils.boundaries import grapheme_floor, sentence_ends

_CJK = re.compile(
    "["
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u2e80-\u9fff"  # radicals, CJK punctuation, Kana, Bopomofo, Han
    "\uf900-\ufaff\uff00-\uffef"  # compatibility ideographs, full-width and half-width forms
    "\U0001b000-\U0001b2ff\U00020000-\U0003ffff"  # old Kana, Han of the supplementary planes
    "]+"
)
# A token in whole units, so that rounding up is exact: 1/3.7, 1 and 3/4 as parts of 148.
_ASCII, _IDEOGRAPH, _OTHER, _TOKEN = 40, 148, 111, 148
# How far back a cut may move to a sentence end, as a share of what fits; and to a word's end, in characters.
_SENTENCE_REACH = 0.2
_WORD_REACH = 40


def estimate_tokens(text: str) -> int:
    """Estimated tokens of `text`, rounded up: ASCII / 3.7 + CJK x 1 + other x 0.75; 0 for the empty text only."""
    if text.isascii():
        return -(-len(text) * _ASCII // _TOKEN)
    ascii_count = len(text.encode("ascii", "ignore"))
    cjk_count = len(text) - len(_CJK.sub("", text))
    other_count = len(text) - ascii_count - cjk_count
    return -(-(ascii_count * _ASCII + cjk_count * _IDEOGRAPH + other_count * _OTHER) // _TOKEN)


def truncate_to_tokens(text: str, budget: int) -> str:
    """The longest beginning of `text` whose estimate is at most `budget`, cut back to a sentence or word end where one
    is near and never inside a grapheme cluster; without trailing white space when it was cut. Empty for budget < 1."""
    if budget < 1:
        return ""
    fitting = _longest_fitting(text, budget)
    if fitting == len(text):
        return text
    return text[: _good_end(text, fitting)].rstrip()


def _longest_fitting(text: str, budget: int) -> int:
    """Length of the longest prefix within the budget; the estimate grows with the prefix, so halving finds it."""
    low, high = 0, min(len(text), budget * _TOKEN // _ASCII)
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[:middle]) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _good_end(text: str, limit: int) -> int:
    sentence = max(sentence_ends(text, int(limit * (1 - _SENTENCE_REACH)), limit + 1), default=0)
    if sentence or text[limit].isspace():
        return sentence or limit
    for position in range(limit, max(limit - _WORD_REACH, 0), -1):
        if text[position - 1].isspace():
            return position
    return grapheme_floor(text, limit)
