"""Questions in another form than the text: recall@5 of BM25 over the passages of md-multilingual.

Run: python -m bench.word_forms [--pairs 200]. Each pair is made by rule: a passage, six words of it that hold a rare
one, written in another form of their script (decomposed, without accents, in capitals, with soft hyphens and joiners,
digits and letters of a neighbouring keyboard, full or half width).
"""

from __future__ import annotations

import argparse
import math
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.corpora import corpus
from services.chunking import chunk_markdown
from services.text.index_terms import TYPED, index_terms
from services.text.passage_text import indexed_passage

SCRIPTS = {
    "Latin": "a-zA-ZÀ-ỹ",
    "Cyrillic": "\u0400-\u04ff",
    "Greek": "\u0370-\u03ff",
    "Arabic": "\u0600-\u06ff",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Han": "\u4e00-\u9fff",
    "Kana": "\u3041-\u30ff",
    "Hangul": "\uac00-\ud7a3",
    "Thai": "\u0e00-\u0e7f",
}
WIDE = str.maketrans({chr(point): chr(point + 0xFEE0) for point in range(0x21, 0x7F)})
KEYBOARDS = str.maketrans({"ك": "ک", "ي": "ی", "ё": "е", "ک": "ك", "ی": "ي"})
ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
DEVANAGARI_DIGITS = str.maketrans("0123456789", "०१२३४५६७८९")


def hyphenated(text: str) -> str:
    return re.sub(r"(?<=[^\W\d_]{3})(?=[^\W\d_]{3})", "\u00ad", text)


FORMS: dict[str, Callable[[str], str]] = {
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "capitals": str.upper,
    "soft hyphens": hyphenated,
    "full width": lambda text: text.translate(WIDE),
    "keyboards": lambda text: text.translate(KEYBOARDS),
    "Arabic digits": lambda text: text.translate(ARABIC_DIGITS),
    "Devanagari digits": lambda text: text.translate(DEVANAGARI_DIGITS),
    "joiners": lambda text: re.sub(r"(?<=[^\W\d_])(?=[^\W\d_])", "\u2060", text),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    script: str
    form: str
    question: str
    passage: int


class Index:
    """BM25 as `interfaces_adaptor/repositories/statements/passages.sql` counts it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.lengths: list[int] = []
        for place, text in enumerate(texts):
            counts = Counter(index_terms(text))
            self.lengths.append(sum(n for term, n in counts.items() if not term.startswith(TYPED)))
            for term, frequency in counts.items():
                self.places[term].append((place, frequency))
        self.mean = sum(self.lengths) / len(self.lengths)

    def best(self, question: str, count: int) -> list[int]:
        scores: dict[int, float] = defaultdict(float)
        for term in sorted(set(index_terms(question))):
            found = self.places.get(term, [])
            weight = math.log(1 + (len(self.lengths) - len(found) + 0.5) / (len(found) + 0.5))
            weight *= 0.05 if term.startswith(TYPED) else 1
            for place, frequency in found:
                scores[place] += weight * frequency / (frequency + 0.375 + 1.125 * self.lengths[place] / self.mean)
        return sorted(scores, key=lambda place: (-scores[place], place))[:count]


def pairs_of(texts: Sequence[str], count: int, seed: int = 7) -> list[Pair]:
    draw = random.Random(seed)
    frequencies = Counter(term for text in texts for term in set(index_terms(text)))
    wanted: dict[str, list[Pair]] = {script: [] for script in SCRIPTS}
    order = list(range(len(texts)))
    draw.shuffle(order)
    forms = list(FORMS)
    for place in order:
        for script, letters in SCRIPTS.items():
            if len(wanted[script]) * len(SCRIPTS) >= 3 * count:
                continue
            runs = re.findall(rf"[{letters}0-9.\s]{{18,80}}", texts[place])
            rare = [run.strip() for run in runs if sum(frequencies[term] < 4 for term in set(index_terms(run))) >= 2]
            rare = [run for run in rare if len(re.findall(f"[{letters}]", run)) > 12]
            if rare:
                text = draw.choice(rare)
                turn = len(wanted[script]) % len(forms)
                changing = [form for form in forms[turn:] + forms[:turn] if FORMS[form](text) != text]
                if changing:
                    wanted[script].append(Pair(script, changing[0], FORMS[changing[0]](text), place))
                    break
    pairs = [pair for found in wanted.values() for pair in found]
    draw.shuffle(pairs)
    return pairs[:count]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=200)
    wanted = options.parse_args().pairs
    texts = [
        indexed_passage(span.heading_path, source[span.start : span.end], span.meta)
        for source in (one.markdown for one in corpus("md-multilingual"))
        for span in chunk_markdown(source)
    ]
    index, pairs = Index(texts), pairs_of(texts, wanted)
    found = {pair: pair.passage in index.best(pair.question, 5) for pair in pairs}
    for name in ("script", "form"):
        for value in sorted({getattr(pair, name) for pair in pairs}):
            hits = [found[pair] for pair in pairs if getattr(pair, name) == value]
            print(f"{name} {value}: {sum(hits)} of {len(hits)}")
    print(f"recall@5 over {len(texts)} passages: {sum(found.values())} of {len(pairs)}")
    for pair in pairs:
        if not found[pair]:
            print("missed:", pair)


if __name__ == "__main__":
    main()
