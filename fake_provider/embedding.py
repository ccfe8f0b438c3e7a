"""The embedding model: hashed words and triples of letters, so that texts are near where they share them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fake_provider.words import content_words

Vectors = npt.NDArray[np.float64]

_WORD_WEIGHT, _TRIPLES_WEIGHT = 1.0, 0.5


def embedded(texts: Sequence[str], dimension: int, seed: int) -> Vectors:
    """(n, dimension) unit rows. Another seed is another space with the same neighbours: the axes are permuted and
    some of them turned around."""
    vectors = unit(np.array([_embedded(text, dimension) for text in texts]))
    if seed:
        random = np.random.default_rng(seed)
        vectors = vectors[:, random.permutation(dimension)] * random.choice((-1.0, 1.0), dimension)
    return vectors


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; what has no direction gets the first axis's."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[lengths[:, 0] < 1e-6] = np.eye(1, vectors.shape[1])
    return vectors / np.where(lengths < 1e-6, 1.0, lengths)


def _embedded(text: str, dimension: int) -> npt.NDArray[np.float64]:
    counts = Counter(content_words(text))
    if not counts:
        return np.zeros(dimension)
    hashes, weights = zip(*map(_features, counts), strict=True)
    repeated = np.sqrt(np.fromiter(counts.values(), float))
    amounts = np.concatenate(weights) * np.repeat(repeated, [len(part) for part in weights])
    places = np.concatenate(hashes) % np.uint64(dimension)
    return np.bincount(places.astype(np.intp), amounts, dimension).astype(np.float64, copy=False)


@lru_cache(maxsize=1 << 15)
def _features(word: str) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]:
    """Hashes of a word and of its triples of letters, and with which sign and weight each counts."""
    framed = f"^{word}$"
    features = [word, *(framed[at : at + 3] for at in range(len(framed) - 2))]
    hashes = np.array([_hash(feature) for feature in features], dtype=np.uint64)
    weights = np.where(hashes >> np.uint64(63), -1.0, 1.0) * _TRIPLES_WEIGHT / np.sqrt(len(features))
    weights[0] = np.copysign(_WORD_WEIGHT, weights[0])
    return hashes, weights


def _hash(feature: str) -> int:
    digest = hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
