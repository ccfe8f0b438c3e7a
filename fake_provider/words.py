"""Words, by which the fake models find texts alike: no grammar, only what makes `Engines` and `engine` one word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

# Letters and digits with the vowel signs and accents that stand apart from their letters.
_RUN = re.compile(r"(?:[^\W_]|[\u0300-\u036f\u0900-\u0dff\u0e31-\u0e4e])+")
# Written without spaces: Thai, Lao, Burmese, Khmer, kana, Han, Hangul.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about all an and any are as at be been but by can could did do does for from had has have he her his how i if
        in into is it its may me my no not of on or our she should so than that the their them then there these they
        this those to us was we were what when where which while who whom whose why will with would you your
        bao các có của cho gì hay khi không là làm một nào những nó ở ra sao thì trong từ và với
        das dem den der die ein eine ist mit und von was wer wie zu auf im
        de del des du el en es est et la las le les los qu que qui un una une y
        """,
    )
)


def words(text: str) -> list[str]:
    """Words in lower case, in their order; of scripts without spaces each pair of neighbouring letters."""
    return [word for run in _RUN.findall(text.casefold()) for word in _words_of(run)]


def content_words(text: str) -> list[str]:
    """Without those that any text has; all of them where there is nothing else."""
    found = words(text)
    return [word for word in found if word not in _FUNCTION_WORDS] or found


def _words_of(run: str) -> Iterator[str]:
    if run.isascii() or not _UNSPACED.search(run):
        yield run[:-1] if len(run) > 3 and run.endswith("s") and not run.endswith("ss") else run
        return
    spaced = _UNSPACED.sub(" ", run).split()
    yield from spaced
    for letters in _UNSPACED.findall(run):
        yield from (map("".join, pairwise(letters)) if len(letters) > 1 else (letters,))
