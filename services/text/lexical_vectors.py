"""Vectors without a model: hashed words and letter n-grams, for a service that has no key.

They know no synonyms and no other language; texts that share words, or parts of words, are near. Everything is written
out here instead of taken from a library, because stored vectors must not change with a library's version: the hash, the
weights and the order of operations are part of the space's name, and a change of any of them is a new `model`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from services.arrays import FloatArray
from services.text.words import words

DIMENSIONS = 1024

# A term is worth 1: .7 (in squares) its own hash, at 8 signed places, and .3 its n-grams of 3 to 5 letters, so that
# an inflection or a misspelling still meets its word. Measured over 3 seeds of the hash: shares of .15 to .5 and 4 to
# 16 places are level; one place loses .02 to .03 of recall@5 to collisions.
_PLACES = 8
_GRAM_SHARE = 0.3
_GRAM_SIZES = (3, 4, 5)
# Amplitudes are whole numbers of these units. Sums of whole numbers are exact in any order, so that every machine,
# BLAS and SIMD width gives the same bits.
_AMPLITUDE = 1 << 8
_FREQUENCY = 1 << 6
_BLOCK = 1 << 18  # characters that are expanded at a time: about 700,000 places, 20 MB

_UnsignedArray = npt.NDArray[np.uint64]
_IntegerArray = npt.NDArray[np.int64]


def lexical_vectors(texts: Sequence[str]) -> FloatArray:
    """(n, 1024) float32 rows of length 1, the same on every machine. Never zero, never NaN, whatever the text."""
    blocks = [_block_vectors(block) for block in _blocks(texts)]
    return np.concatenate(blocks) if blocks else np.zeros((0, DIMENSIONS), dtype=np.float32)


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = size = 0
    for stop, text in enumerate(texts, start=1):
        size += len(text) + 256  # a short text still costs a row
        if size >= _BLOCK or stop == len(texts):
            yield texts[start:stop]
            start, size = stop, 0


def _block_vectors(texts: Sequence[str]) -> FloatArray:
    vocabulary: dict[str, int] = {}
    terms_of_text: list[int] = []
    terms: list[int] = []
    frequencies: list[int] = []
    for text in texts:
        counts = _term_counts(text)
        terms_of_text.append(len(counts))
        terms.extend(vocabulary.setdefault(term, len(vocabulary)) for term in counts)
        frequencies.extend(counts.values())
    starts, places, amplitudes = _term_features(list(vocabulary))
    term = np.array(terms, dtype=np.int64)
    width = (starts[1:] - starts[:-1])[term]
    rows = np.repeat(np.arange(len(texts)), terms_of_text)
    # Every occurrence of a term becomes its run of features: start of the run, plus a count from zero within it.
    within = np.arange(width.sum()) - np.repeat(np.cumsum(width) - width, width)
    feature = np.repeat(starts[:-1][term], width) + within
    cells = np.repeat(rows, width) * DIMENSIONS + places[feature]
    weights = np.repeat(_frequency_weights(frequencies), width) * amplitudes[feature]
    sums = np.bincount(cells, weights=weights, minlength=len(texts) * DIMENSIONS)
    return _unit_rows(sums.reshape(len(texts), DIMENSIONS).astype(np.int64))


def _term_counts(text: str) -> Counter[str]:
    """Stop words count only where there is nothing else, and other marks only where there is no word at all."""
    return Counter(words(text) or words(text, stop_words=True) or text.split() or [""])


def _frequency_weights(frequencies: Sequence[int]) -> _IntegerArray:
    """1 + ln(tf), in units. Raw counts and square roots were level or worse; presence alone lost .05 of recall@5."""
    return np.array([round(_FREQUENCY * (1 + math.log(n))) for n in frequencies], dtype=np.int64)


def _unit_rows(sums: _IntegerArray) -> FloatArray:
    squares = (sums * sums).sum(axis=1)
    sums[squares == 0, 0] = squares[squares == 0] = 1  # signs that cancel each other out: possible, never seen
    rows: FloatArray = (sums / np.sqrt(squares)[:, None]).astype(np.float32)
    return rows


def _term_features(terms: Sequence[str]) -> tuple[_IntegerArray, _IntegerArray, _IntegerArray]:
    """The features of term i are [starts[i], starts[i + 1]) of (places, amplitudes)."""
    spelled = "".join(f" {term} " for term in terms).encode("utf-32-le", "surrogatepass")
    letters = np.frombuffer(spelled, dtype="<u4").astype(np.uint64)
    lengths = np.array([len(term) + 2 for term in terms], dtype=np.int64)
    first = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(len(terms)), lengths)
    whole_places, signs = _places(_word_hashes(letters, first, lengths), _PLACES)
    gram_owner, gram_hashes = _grams(letters, owner)
    gram_places, gram_signs = _places(gram_hashes, 1)
    grams = np.bincount(gram_owner, minlength=len(terms))
    whole, share = _amplitudes(grams)
    of_feature = np.concatenate([np.repeat(np.arange(len(terms)), _PLACES), gram_owner])
    order = np.argsort(of_feature, kind="stable")
    places = np.concatenate([whole_places.ravel(), gram_places.ravel()])[order]
    amplitudes = np.concatenate([(signs * whole[:, None]).ravel(), gram_signs.ravel() * share[gram_owner]])[order]
    starts = np.concatenate([[0], np.cumsum(grams + _PLACES)])
    return starts, places, amplitudes


def _amplitudes(grams: _IntegerArray) -> tuple[_IntegerArray, _IntegerArray]:
    """For each term, by its number of n-grams: the amplitude of a place of its own hash, and of one n-gram."""
    own = np.where(grams > 0, 1 - _GRAM_SHARE, 1.0) / _PLACES
    gram = _GRAM_SHARE / np.maximum(grams, 1)
    return np.rint(_AMPLITUDE * np.sqrt(own)).astype(np.int64), np.rint(_AMPLITUDE * np.sqrt(gram)).astype(np.int64)


# FNV's prime as the base of a polynomial over code points, and the finaliser of SplitMix64 (Steele, Lea and Flood,
# OOPSLA 2014) to spread it: arithmetic modulo 2^64 is the same everywhere.
_BASE = np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(hashes: _UnsignedArray) -> _UnsignedArray:
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _word_hashes(letters: _UnsignedArray, first: _IntegerArray, lengths: _IntegerArray) -> _UnsignedArray:
    powers = np.cumprod(np.full(int(lengths.max()), _BASE, dtype=np.uint64))
    position = np.arange(len(letters)) - np.repeat(first, lengths)
    return np.add.reduceat(letters * powers[position], first)


def _grams(letters: _UnsignedArray, owner: _IntegerArray) -> tuple[_IntegerArray, _UnsignedArray]:
    """All n-grams that lie within one term of three letters or more, its borders included; not the whole term."""
    lengths = np.bincount(owner)[owner]
    owners, hashes = [], []
    for size in _GRAM_SIZES:
        count = max(len(letters) - size + 1, 0)
        inside = (owner[:count] == owner[size - 1 :]) & (lengths[:count] > max(size, 4))
        at = np.flatnonzero(inside)
        gram = np.full(len(at), size, dtype=np.uint64)
        for offset in range(size):
            gram = gram * _BASE + letters[at + offset]
        owners.append(owner[at])
        hashes.append(gram)
    return np.concatenate(owners), np.concatenate(hashes)


def _places(hashes: _UnsignedArray, count: int) -> tuple[_IntegerArray, _IntegerArray]:
    """(n, count) dimensions and signs (+1, -1) of each hash, from independent bits."""
    mixed = _mix(hashes[:, None] + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64))
    places = (mixed % np.uint64(DIMENSIONS)).astype(np.int64)
    signs = 1 - 2 * ((mixed >> np.uint64(40)) & np.uint64(1)).astype(np.int64)
    return places, signs
