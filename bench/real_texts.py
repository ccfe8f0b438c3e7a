"""Chunks of the public Markdown corpora as vectors, for what generated vectors cannot show."""

from __future__ import annotations

import json
import lzma
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from services.chunking import chunk_markdown
from services.text.lexical_vectors import lexical_vectors

# Corpus, chunks, vectors: those of the service's own embedder, or words weighted by rarity and reduced by SVD.
TEXTS = (
    ("md-medium", 1000, "lexical"),
    ("md-medium", 1000, "svd"),
    ("md-medium", 5000, "lexical"),
    ("md-medium", 5000, "svd"),
)
CHUNKS_A_DOCUMENT = (3, 60)
SIZE = 600  # characters of a chunk
DIMENSIONS = 384  # of the reduced words


@dataclass(frozen=True, slots=True, eq=False)
class RealTexts:
    vectors: np.ndarray[Any, np.dtype[np.float32]]
    documents: np.ndarray[Any, np.dtype[np.int64]]
    folders: np.ndarray[Any, np.dtype[np.int64]]  # repository and folder: what a document is about, roughly

    @classmethod
    def read(cls, corpus: str, leaves: int, kind: str, seed: int) -> RealTexts | None:
        """Whole documents in an order of chance, up to so many chunks. None where the corpus is not here."""
        beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
        path = Path(os.environ.get("RAPTOR_SHARED_DATA") or beside) / corpus / "files.jsonl.xz"
        if not path.exists():
            return None
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            files = [json.loads(line) for line in lines]
        texts: list[str] = []
        documents: list[int] = []
        folders: list[str] = []
        for number in np.random.default_rng(seed).permutation(len(files)):
            source = files[number]["markdown"]
            chunks = [source[span.start : span.end] for span in chunk_markdown(source, size=SIZE, overlap=0)]
            if CHUNKS_A_DOCUMENT[0] <= len(chunks) <= CHUNKS_A_DOCUMENT[1] and len(texts) < leaves:
                texts += chunks
                documents += [int(number)] * len(chunks)
                folders += [f"{files[number]['repo']}/{Path(files[number]['path']).parent}"] * len(chunks)
        return cls(
            vectors=(lexical_vectors if kind == "lexical" else _reduced_words)(texts[:leaves]),
            documents=np.array(documents[:leaves]),
            folders=np.unique(folders[:leaves], return_inverse=True)[1],
        )


def _reduced_words(texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, max_df=0.3).fit_transform(texts)
    reduced = TruncatedSVD(DIMENSIONS, random_state=0).fit_transform(words).astype(np.float32)
    return np.asarray(reduced + np.float32(1e-6))  # a text of rare words alone would have no direction
