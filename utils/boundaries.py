"""Where a text may be cut: between sentences of any script, and never inside what a reader sees as one character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# A cluster longer than this is decoration ("Zalgo" text), and looking further back would make cutting quadratic.
_LONGEST_CLUSTER = 64

# No back tick: the mark of `panic!` belongs to the code.
_CLOSING = r"\"'”’»›)\]}*_"
_FULL_WIDTH_CLOSING = "」』”’）】》〉］｝"
_STOPS = ".!?…؟۔।॥።။។"
_SENTENCE_END = re.compile(
    # Latin, Greek, Cyrillic, Vietnamese, Hebrew, Arabic, Indic, Ethiopic, Burmese, Khmer: a stop, then white space.
    # Only from the first of a row of stops, and without going back: a line of a million dots stays linear.
    rf"(?<![{_STOPS}])[{_STOPS}]++[{_CLOSING}{_FULL_WIDTH_CLOSING}]*+(?=\s)"
    # Chinese and Japanese write no space after a stop; a closing quote still belongs to the sentence.
    rf"|[。！？｡]+[{_CLOSING}{_FULL_WIDTH_CLOSING}]*"
)
_WORD_BEFORE = re.compile(r"[^\s(\[\"'“‘«]*\Z")
_INITIALS = re.compile(r"(?:[A-ZÀ-ÖØ-ÞĐΑ-ΩА-Я]\.)+\Z|(?:[^\W\d_]\.){2,}\Z")  # J. R., e.g.
_ENUMERATOR = re.compile(r"\d{1,3}\.\Z")
_ABBREVIATION = re.compile(
    r"(?:mr|mrs|ms|dr|prof|st|vs|cf|al|figs?|eq|pp|vol|ca|approx|dept|gen|sen|rep|gov|capt|col|lt|sgt|rev|hon"
    r"|jan|feb|apr|jun|jul|aug|sept?|oct|nov|dec|bzw|usw|vgl|evtl|tel|tp|ths|ts|pgs|gs|tr)\.\Z",
    re.IGNORECASE,
)
# These end a sentence as often as not; before a number they never do ("no. 5", "ch. 3", "p. 12").
_BEFORE_NUMBERS = re.compile(r"(?:[Nn]os?|pp?|[Cc]h|[Ss]ect?|[Aa]rt|[Nn]r|s|[Bb]d)\.\Z")


def sentence_ends(text: str, start: int = 0, end: int | None = None, least: int = 1) -> Iterator[int]:
    """Offsets just after each sentence of `text[start:end]`, closing quotes included, without the white space that
    follows; the end of the range itself is not among them. A sentence of less than `least` characters stays with the
    next.

    Abbreviations, initials ("J. R. R."), list numbers and a following small letter do not end a sentence.
    """
    end = len(text) if end is None else min(end, len(text))
    match = _SENTENCE_END.search(text, start, end)
    while match and match.end() < end:
        position = match.end()
        if position - start >= least and not _goes_on(text, start, match.start(), position, end):
            yield position
            start = position
        # What cannot be long enough yet is skipped: a text of stops alone costs no more than any other.
        match = _SENTENCE_END.search(text, max(position, start + least - 1), end)


def _goes_on(text: str, start: int, stop: int, after: int, end: int) -> bool:
    """Whether the stop at `text[stop:after]` is part of a sentence that continues."""
    if text[stop] not in ".…":
        return False
    following = text[after : min(after + 80, end)].lstrip()[:1]
    if following.islower():
        return True
    if text[stop:after] != ".":
        return False
    found = _WORD_BEFORE.search(text, max(0, stop - 24), after)
    word = found.group() if found else ""
    if _BEFORE_NUMBERS.match(word):
        return following.isdigit()
    if _ABBREVIATION.match(word) or _INITIALS.match(word):
        return True
    return bool(_ENUMERATOR.match(word)) and _begins_line(text, start, after - len(word))


def _begins_line(text: str, start: int, position: int) -> bool:
    above = max(start, position - 16)
    indentation = text[above:position].rpartition("\n")
    return not indentation[2].strip() and (above == start or indentation[1] == "\n")


def grapheme_floor(text: str, position: int, lowest: int = 0) -> int:
    """The last offset at or before `position`, not before `lowest`, that does not part a base from its combining
    marks, a ZWJ or modifier sequence, a flag, conjoining Hangul, or CR from LF.

    A cheap subset of UAX #29. Where no such offset lies within 64 characters, `position` itself.
    """
    position = min(position, len(text))
    for cut in range(position, max(lowest, position - _LONGEST_CLUSTER) - 1, -1):
        if not _joined(text, cut):
            return cut
    return position


def grapheme_ceiling(text: str, position: int) -> int:
    """The first such offset at or after `position`; where none lies within 64 characters, `position` itself."""
    for cut in range(position, min(len(text), position + _LONGEST_CLUSTER) + 1):
        if not _joined(text, cut):
            return cut
    return position


def _joined(text: str, position: int) -> bool:
    """Whether the characters on both sides of `position` belong to one cluster."""
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if before < "\u0300" and after < "\u0300":
        return before == "\r" and after == "\n"
    if _extends(after) or before == "\u200d":
        return True
    if _is_flag_letter(before) and _is_flag_letter(after):
        return _flag_letters_before(text, position) % 2 == 1
    return _conjoins(before, after)


def _extends(character: str) -> bool:
    return (
        unicodedata.category(character) in {"Mn", "Me", "Mc"}
        or character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flag of Scotland
        or "\udc00" <= character <= "\udfff"  # half of a surrogate pair that a decoder let through
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, position: int) -> int:
    first = position
    while first > max(0, position - _LONGEST_CLUSTER) and _is_flag_letter(text[first - 1]):
        first -= 1
    return position - first


def _conjoins(before: str, after: str) -> bool:
    """Hangul written as separate letters: a vowel joins what stands before it, a final consonant too."""
    return "\u1160" <= after <= "\u11ff" and ("\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3")
