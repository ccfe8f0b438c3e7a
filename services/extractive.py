"""Summaries without a language model: the strongest sentences of the sources, word for word, in reading order.

The sentences of all texts form a graph, joined by their TF-IDF cosine; PageRank with a prior finds the central ones
(LexRank: Erkan and Radev 2004), and maximal marginal relevance (Carbonell and Goldstein 1998) picks from them under
the token budget. A summary of summaries is made the same way, so the root is made of sentences of the leaves.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.key_phrases import title_of
from utils.sentences import as_read, sentences
from utils.tokens import estimate_tokens, truncate_to_tokens
from utils.words import words

FloatArray = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

_MOST_CANDIDATES = 400  # sentences in the graph: 400 x 400 similarities
_LEAST_PRIOR = 0.45  # of a sentence; what is below helps to fill a budget only where there is little else
_DAMPING = 0.85
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ITERATIONS = 30
_RELEVANCE = 0.6  # of MMR; the rest is novelty
_SAME_TEXT = 0.15  # what each sentence already taken from a text costs its next one
_DUPLICATE = 0.8  # cosine from which a sentence says nothing new: chunks overlap, pages repeat themselves

_TERMINATED = re.compile(r"[.!?…。！？｡؟۔।॥။።។][\"'”’»›)\]}*_`」』）】》〉］｝]*\Z")
_HAN_KANA = re.compile("[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
# Openings that lean on a sentence which may not have been picked, and mentions of what is left out (figures, code).
_LEANING = re.compile(
    r"(?:this|that|these|those|it|its|they|them|their|he|she|his|her|here|such|so|but|and|or|also|however|then|thus|"
    r"therefore|hence|instead|otherwise|finally|next|again|moreover|furthermore|additionally|similarly|likewise|"
    r"for example|for instance|in this|in that|in these|in addition|as a result|because of this|now|"
    r"cela|ceci|cette|ce|ces|mais|donc|dies|diese|dieser|dieses|aber|daher|esto|esta|este|esa|ese|pero|isso|isto|essa|"
    r"это|эта|этот|эти|но|однако|поэтому|điều này|điều đó|nhưng|tuy nhiên|do đó)\b"
    r"|这|這|那|它|因此|所以|但|然而|此外|不过|不過|然后|然後|これ|それ|この|その|しかし|また|そして|ただし|そのため|이것|이는|그러나|하지만|그리고",
    re.IGNORECASE,
)
# A step of a walk-through, not a statement.
_NARRATING = re.compile(r"(?:we|i|you|let|let’s|let's|wir|nous|nosotros|ich|我们|我們|私|chúng ta|мы)\b", re.IGNORECASE)
_DEFINING = re.compile(
    r"\b(?:is an?|are|is the|is one of|allows?|lets?|enables?|provides?|means|refers to|describes?|contains?|consists? of|"
    r"est une?|sont|permet|ist ein|ist eine|sind|es un|es una|son|permite|é um|é uma|são|là|cho phép|является|это)\b"
    r"|是|とは|です|입니다",
    re.IGNORECASE,
)
_OPENING = 60  # characters within which a sentence names its subject and says what it does
_POINTING = re.compile(
    r"\b(?:above|below|following|listing|figure|fig\.|table|see|click|let’s|let's|we’ll|we'll|you’ll|you'll)\b|[：:]\s*\Z|https?://"
    r"|如下|以下|上图|上圖|次の|以下の|下記",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ExtractiveSummary:
    """`picks` are (index of the text, start, end), in the order of `text`: each is an exact span of its source.

    `text` shows the picks without link targets, emphasis and line breaks; its words are the source's.
    """

    title: str
    text: str
    picks: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may be picked. `prior` says how well it would stand by itself, whatever it is about."""

    source: int
    start: int
    end: int
    shown: str
    tokens: int
    prior: float


def summarise(
    texts: Sequence[str],
    *,
    token_budget: int,
    heading_paths: Sequence[tuple[str, ...]] = (),
    vectors: FloatArray | None = None,
    avoid: Collection[str] = (),
) -> ExtractiveSummary:
    """A title of at most 32 characters and a summary of at most `token_budget` estimated tokens.

    `heading_paths` are the titles above each text, outermost first. `vectors` (n, d), a unit row a text, favour texts
    near their mean. `avoid` are titles of siblings. The text is empty only where all texts are blank.
    """
    candidates = _candidates(texts, heading_paths, token_budget)
    if vectors is not None:
        candidates = _favour_central_texts(candidates, vectors)
    chosen = _choose(_strongest(candidates), token_budget) or _cut_beginning(texts, token_budget)
    return ExtractiveSummary(
        title=title_of(texts, heading_paths, avoid),
        text=_printed(chosen),
        picks=tuple((pick.source, pick.start, pick.end) for pick in chosen),
    )


def _candidates(texts: Sequence[str], paths: Sequence[tuple[str, ...]], budget: int) -> list[_Candidate]:
    """Whole sentences; where they do not fill half of the budget, also lines without a full stop, then any line."""
    found: dict[int, list[_Candidate]] = {0: [], 1: [], 2: []}
    seen: set[str] = set()
    for source, text in enumerate(texts):
        topic = frozenset(words(" ".join(paths[source][-2:]))) if paths else frozenset()
        for place, sentence in enumerate(sentences(text)):
            shown = as_read(text[sentence.start : sentence.end])
            tokens = estimate_tokens(shown)
            rank = _rank(sentence.kind, shown, tokens)
            if tokens > budget or rank is None or shown in seen:
                continue
            seen.add(shown)
            prior = _prior(shown, tokens, place, sentence.kind, topic)
            rank = 1 if rank == 0 and prior < _LEAST_PRIOR else rank
            found[rank].append(_Candidate(source, sentence.start, sentence.end, shown, tokens, prior))
    chosen = found[0]
    for rank in (1, 2):
        if sum(candidate.tokens for candidate in chosen) < budget / 2:
            chosen = chosen + found[rank]
    return chosen


def _rank(kind: str, shown: str, tokens: int) -> int | None:
    """0 for a sentence, 1 for a line of prose or a list, 2 for other lines that have words, None for the rest."""
    if kind == "other" or not any(map(str.isalpha, shown)):
        return None
    letters = sum(map(str.isalpha, shown))
    if kind not in ("prose", "item") or letters < 0.5 * len(shown) or " | " in shown:
        return 2
    if tokens >= 6 and _TERMINATED.search(shown) and not shown[0].islower():
        return 0
    return 1


def _prior(shown: str, tokens: int, place: int, kind: str, topic: Set[str]) -> float:
    """Worth most: what opens its text, stands by itself, and says something of the subject of its heading."""
    prior = 1.0 + 0.5 / (1 + place)
    opening = shown[:_OPENING]
    if not topic.isdisjoint(words(opening)):
        prior *= 1.4
    if _NARRATING.match(shown):
        prior *= 0.6
    elif _DEFINING.search(opening):
        prior *= 1.3
    if _LEANING.match(shown):
        prior *= 0.5
    if _POINTING.search(shown):
        prior *= 0.6
    if shown.rstrip('"”’)')[-1:] in "?？؟":
        prior *= 0.5
    if kind == "item":
        prior *= 0.8
    details = shown.count("`") // 2 + len(_NUMBER.findall(shown))
    return prior * 0.85 ** max(0, details - 1) * min(1.0, tokens / 12) * min(1.0, 60 / tokens)


def _favour_central_texts(candidates: Sequence[_Candidate], vectors: FloatArray) -> list[_Candidate]:
    centre = vectors.mean(axis=0)
    nearness = np.clip(vectors @ centre / max(float(np.linalg.norm(centre)), 1e-9), 0.0, 1.0)
    return [replace(one, prior=one.prior * (0.5 + float(nearness[one.source]))) for one in candidates]


def _strongest(candidates: list[_Candidate]) -> list[_Candidate]:
    """At most as many as the graph can hold, by prior and the frequency of their words; in reading order."""
    if len(candidates) <= _MOST_CANDIDATES:
        return candidates
    terms = [set(words(candidate.shown)) for candidate in candidates]
    frequency = Counter(term for of_sentence in terms for term in of_sentence)
    scores = [
        candidate.prior * sum(math.log(frequency[term]) for term in of_sentence) / (1 + len(of_sentence))
        for candidate, of_sentence in zip(candidates, terms, strict=True)
    ]
    best = sorted(range(len(candidates)), key=lambda i: (-scores[i], i))[:_MOST_CANDIDATES]
    return [candidates[i] for i in sorted(best)]


def _choose(candidates: Sequence[_Candidate], budget: int) -> list[_Candidate]:
    """MMR until nothing more fits; in reading order."""
    if not candidates:
        return []
    similarity = _similarity([candidate.shown for candidate in candidates])
    rank = _page_rank(similarity, np.array([candidate.prior for candidate in candidates]))
    relevance = rank / rank.max()
    tokens = np.array([candidate.tokens + 1 for candidate in candidates])
    source = np.array([candidate.source for candidate in candidates])
    nearest = np.zeros(len(candidates))
    taken_from = np.zeros(int(source.max()) + 1)
    chosen: list[int] = []
    left = budget + 1
    open_ = tokens <= left
    while open_.any():
        value = _RELEVANCE * relevance - (1 - _RELEVANCE) * nearest - _SAME_TEXT * taken_from[source]
        best = int(np.argmax(np.where(open_, value, -np.inf)))
        chosen.append(best)
        left -= int(tokens[best])
        nearest = np.maximum(nearest, similarity[best])
        taken_from[source[best]] += 1
        open_ &= (tokens <= left) & (nearest < _DUPLICATE)
        open_[best] = False
    return [candidates[i] for i in sorted(chosen)]


def _similarity(shown: Sequence[str]) -> Scores:
    """(n, n) TF-IDF cosines with a zero diagonal. Terms of one sentence only count in its length, not in the product."""
    counts = [Counter(words(sentence)) for sentence in shown]
    frequency = Counter(term for count in counts for term in count)
    idf = {term: math.log(1 + len(shown) / number) for term, number in frequency.items()}
    shared = {term: column for column, term in enumerate(term for term, number in frequency.items() if number > 1)}
    matrix = np.zeros((len(shown), max(len(shared), 1)))
    lengths = np.ones(len(shown))
    for row, count in enumerate(counts):
        weights = {term: (1 + math.log(number)) * idf[term] for term, number in count.items()}
        for term, weight in weights.items():
            if term in shared:
                matrix[row, shared[term]] = weight
        lengths[row] = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    matrix /= lengths[:, None]
    similarity: Scores = matrix @ matrix.T
    np.fill_diagonal(similarity, 0.0)
    return similarity


def _page_rank(similarity: Scores, prior: Scores) -> Scores:
    """The stationary distribution of a walk along similarities that jumps back to the prior; sums to 1."""
    jump = prior / prior.sum()
    out = similarity.sum(axis=1)
    lonely = out == 0
    # The prior also draws the walk: a sentence that leans on others is not made central by being like them.
    step = similarity / np.where(lonely, 1.0, out)[:, None]
    rank = jump.copy()
    for _ in range(_ITERATIONS):
        rank = (1 - _DAMPING) * jump + _DAMPING * (rank @ step + rank[lonely].sum() * jump)
    weighted: Scores = rank * prior
    return weighted


def _cut_beginning(texts: Sequence[str], budget: int) -> list[_Candidate]:
    """Where no sentence fits: the first text that is not blank, cut."""
    for source, text in enumerate(texts):
        start = len(text) - len(text.lstrip())
        cut = truncate_to_tokens(text[start:], budget).rstrip()
        if cut:
            return [_Candidate(source, start, start + len(cut), cut, budget, 1.0)]
    return []


def _printed(chosen: Sequence[_Candidate]) -> str:
    """Sentences of one text follow each other, each text begins a line."""
    parts: list[str] = []
    for before, pick in zip([None, *chosen], chosen, strict=False):
        if before is not None:
            joined = "" if _HAN_KANA.search(before.shown[-3:]) else " "
            parts.append("\n" if before.source != pick.source else joined)
        parts.append(pick.shown)
    return "".join(parts)
