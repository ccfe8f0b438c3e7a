"""Summaries without a language model: the strongest sentences of the sources, word for word, in reading order.

The sentences of all texts form a graph, joined by their TF-IDF cosine; PageRank with a prior finds the central ones
(LexRank: Erkan and Radev 2004), and maximal marginal relevance (Carbonell and Goldstein 1998) picks from them under
the token budget. A summary of summaries is made the same way, so the root is made of sentences of the leaves.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.text.key_phrases import titles_of
from services.text.sentence_cues import (
    ALSO,
    DEFINING,
    DEFINING_PARTS,
    LEANING,
    LEANING_BEGINNINGS,
    NARRATING,
    NARRATING_BEGINNINGS,
    POINTING,
    POINTING_PARTS,
    SUBORDINATE,
    SUBORDINATE_BEGINNINGS,
)
from services.text.sentences import ReadSentence, read_sentences
from services.text.words import words
from utils.tokens import estimate_tokens, truncate_to_tokens

# Sentences that say what the text will do and not what it is about.
_ANNOUNCING = (
    "let’s ", "let's ", "take a look", "as follows", "shown in ", "we’ll look", "we'll look", "click here",
    "schauen wir", "regardons", "veamos", "рассмотрим", "hãy xem", "让我们", "我们来看", "見てみましょう",
)  # fmt: skip

NAME = "builtin/extractive"

FloatArray = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

_MOST_CANDIDATES = 400  # sentences in the graph: 400 x 400 similarities
_DAMPING = 0.85
_ITERATIONS = 30
# Of MMR. On whole-document questions (25 stories, 35 meetings) .5 to .85 are level; .6 reads with fewer repetitions.
_RELEVANCE = 0.6
_SAME_TEXT = 0.15  # what each sentence already taken from a text costs its next one
_DUPLICATE = 0.65  # cosine from which a sentence says nothing new: chunks overlap, pages repeat themselves
_LEAST_PRIOR = 0.6  # of a sentence that is picked before lines without a full stop are looked at

_OPENING = 10  # words within which a sentence says what its subject is or does
_SUBJECT = 4  # terms within which it names it
_TERMINATED = re.compile(r"[.!?…。！？｡؟۔।॥።။][\"'”’»›)\]}*_`」』）】》〉］｝]*\Z")
_CODE_SPAN = re.compile(r"`[^`]*`")
_SYMBOL = re.compile(r"[{}\[\]();=<>\\|$#@*_+~^&]|//")
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LEADS_IN = frozenset(":：︰")
_CAPTION = re.compile(
    r"(?:figure|fig\.|table|listing|abbildung|tabelle|tableau|figura|tabla|tabela|рис(?:унок|\.)|таблица|hình|bảng|图|圖|表)"
    r"\s*[\dA-Z][\d.–-]*\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?:note|tip|warning|hinweis|tipp|achtung|nota|remarque|astuce|consejo|примечание|совет|lưu ý|mẹo|注意|提示|備考)"
    r"\s*[:：]",
    re.IGNORECASE,
)
_DEBRIS = re.compile(r"[^\w]*(?:[\w-]+=[\"'“][^\"'”]*[\"'”]|/?>|<|https?://\S+\s*$)")
_HAN_KANA = re.compile("[\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff5e]")


@dataclass(frozen=True, slots=True)
class ExtractiveSummary:
    """`picks` are (index of the text, start, end), in the order of `text`: each is an exact span of its source.

    `text` shows the picks without link targets, emphasis and line breaks; its words are the source's.
    """

    titles: tuple[str, ...]
    text: str
    picks: tuple[tuple[int, int, int], ...]

    @property
    def title(self) -> str:
        return self.titles[0]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may be picked. `prior` says how well it would stand by itself, whatever it is about."""

    source: int
    start: int
    end: int
    shown: str
    tokens: int
    terms: Counter[str]
    prior: float


def summarise(
    texts: Sequence[str],
    *,
    token_budget: int,
    heading_paths: Sequence[tuple[str, ...]] = (),
    vectors: FloatArray | None = None,
) -> ExtractiveSummary:
    """Titles of at most 32 characters, the best first, and a summary of at most `token_budget` estimated tokens.

    `heading_paths` are the titles above each text, outermost first. `vectors` (n, d), a unit row a text, favour texts
    near their mean. The text is empty only where all texts are blank.
    """
    read = [read_sentences(text) for text in texts]
    paths = heading_paths or [()] * len(texts)
    weights = np.ones(len(texts)) if vectors is None else _nearness_to_mean(vectors)
    candidates = _strongest(_candidates(read, paths, weights, token_budget))
    chosen = _choose(candidates, token_budget) or _cut_beginning(texts, token_budget)
    return ExtractiveSummary(
        titles=titles_of(read, paths),
        text=_printed(chosen),
        picks=tuple((pick.source, pick.start, pick.end) for pick in chosen),
    )


def _nearness_to_mean(vectors: FloatArray) -> Scores:
    mean = vectors.mean(axis=0)
    nearness: Scores = np.clip(vectors @ mean / max(float(np.linalg.norm(mean)), 1e-9), 0.0, 1.0).astype(np.float64)
    return 0.5 + nearness


def _candidates(
    texts: Sequence[Sequence[ReadSentence]], paths: Sequence[tuple[str, ...]], weights: Scores, budget: int
) -> list[_Candidate]:
    """Whole sentences; where they do not fill half of the budget, also lines without a full stop, then any line."""
    ranked: tuple[list[_Candidate], ...] = ([], [], [])
    seen: set[str] = set()
    for source, (sentences, path) in enumerate(zip(texts, paths, strict=True)):
        topic = frozenset(words(" ".join(path[-2:])))
        for place, sentence in enumerate(sentences):
            shown, tokens = sentence.shown, estimate_tokens(sentence.shown)
            rank = _rank(sentence, tokens)
            if tokens > budget or rank is None or shown in seen:
                continue
            seen.add(shown)
            terms = words(shown)
            on_topic = not topic.isdisjoint(terms[:_SUBJECT])
            prior = float(weights[source]) * standing(sentence, tokens, place, on_topic=on_topic)
            rank = 1 if rank == 0 and prior < _LEAST_PRIOR else rank
            found = _Candidate(source, sentence.start, sentence.end, shown, tokens, Counter(terms), prior)
            ranked[rank].append(found)
    candidates = ranked[0]
    for more in ranked[1:]:
        if sum(candidate.tokens for candidate in candidates) < budget / 2:
            candidates = sorted(candidates + more, key=lambda candidate: (candidate.source, candidate.start))
    return candidates


def stands_alone(sentence: ReadSentence) -> bool:
    """Whether a reader who sees nothing else can do something with it: no line of code or a table, no caption, nothing
    that a colon leads in or that points at what is beside it, no mere link or tag."""
    shown = sentence.shown
    if sentence.kind not in ("prose", "item") or not any(map(str.isalpha, shown)) or _looks_like_code(shown):
        return False
    if shown.rstrip("*_ ")[-1:] in _LEADS_IN or _CAPTION.match(shown) or _DEBRIS.match(shown):
        return False
    lower = shown.lower()
    return not any(part in lower for part in _ANNOUNCING)


def _rank(sentence: ReadSentence, tokens: int) -> int | None:
    """0 for a sentence, 1 for a line of prose or a list, 2 for other lines that have words, None for the rest."""
    shown = sentence.shown
    letters = sum(map(str.isalpha, shown))
    if sentence.kind == "other" or not letters:
        return None
    if sentence.kind not in ("prose", "item") or letters < 0.5 * len(shown) or _looks_like_code(shown):
        return 2
    return 0 if tokens >= 6 and is_whole(shown) and stands_alone(sentence) else 1


def is_whole(shown: str) -> bool:
    """Whether it begins and ends as a sentence does."""
    paired = shown.count("(") == shown.count(")") and shown.count('"') % 2 == 0
    return paired and not shown[0].islower() and bool(_TERMINATED.search(shown))


def _looks_like_code(shown: str) -> bool:
    """Lines of code reach us as prose where a chunk begins within a code block."""
    bare = _CODE_SPAN.sub("", shown)
    return len(_SYMBOL.findall(bare)) > 0.05 * len(bare) or bare.startswith(("//", "/*")) or '">' in bare


def standing(sentence: ReadSentence, tokens: int, place: int, *, on_topic: bool) -> float:
    """How well a sentence, the `place`th of its text, would stand by itself. Worth most: what opens its text, leans on
    nothing, and says what the subject of its heading is."""
    shown = sentence.shown
    lower = shown.lower()
    opening = _PLAIN_WORD.findall(lower[:120])[:_OPENING] or [""]
    prior = 1.0 + 0.5 / (1 + place)
    if opening[0] in NARRATING or lower.startswith(NARRATING_BEGINNINGS):
        prior *= 0.6
    elif opening[0] in SUBORDINATE or lower.startswith(SUBORDINATE_BEGINNINGS):
        prior *= 0.8
    elif not DEFINING.isdisjoint(opening[1:]) or any(part in shown for part in DEFINING_PARTS):
        prior *= 1.6 if on_topic else 1.3
    if on_topic:
        prior *= 1.3
    if opening[0] in LEANING or lower.startswith(LEANING_BEGINNINGS) or not ALSO.isdisjoint(opening[1:3]):
        prior *= 0.5
    if not POINTING.isdisjoint(_PLAIN_WORD.findall(lower)) or any(part in lower for part in POINTING_PARTS):
        prior *= 0.5
    if shown.rstrip("\"'”’)」』）")[-1:] in "?？؟!！":
        prior *= 0.5
    if sentence.kind == "item":
        prior *= 0.8
    if _ASIDE.match(shown):
        prior *= 0.4
    details = shown.count("`") // 2 + len(_NUMBER.findall(shown))
    return prior * 0.85 ** max(0, details - 1) * min(1.0, tokens / 12) * min(1.0, 60 / tokens)


def _strongest(candidates: list[_Candidate]) -> list[_Candidate]:
    """At most as many as the graph can hold, by prior and the frequency of their words; in reading order."""
    if len(candidates) <= _MOST_CANDIDATES:
        return candidates
    frequency = Counter(term for candidate in candidates for term in candidate.terms)

    def strength(place: int) -> float:
        terms = candidates[place].terms
        return candidates[place].prior * sum(math.log(frequency[term]) for term in terms) / (1 + len(terms))

    best = sorted(range(len(candidates)), key=lambda place: (-strength(place), place))[:_MOST_CANDIDATES]
    return [candidates[place] for place in sorted(best)]


def _choose(candidates: Sequence[_Candidate], budget: int) -> list[_Candidate]:
    """MMR until nothing more fits; in reading order."""
    if not candidates:
        return []
    similarity = _similarity([candidate.terms for candidate in candidates])
    relevance = _page_rank(similarity, np.array([candidate.prior for candidate in candidates]))
    relevance /= relevance.max()
    tokens = np.array([candidate.tokens + 1 for candidate in candidates])  # and what parts it from the next
    source = np.array([candidate.source for candidate in candidates])
    nearest = np.zeros(len(candidates))
    taken_from = np.zeros(int(source.max()) + 1)
    chosen: list[int] = []
    left = budget + 1
    may_follow = tokens <= left
    while may_follow.any():
        value = _RELEVANCE * relevance - (1 - _RELEVANCE) * nearest - _SAME_TEXT * taken_from[source]
        best = int(np.argmax(np.where(may_follow, value, -np.inf)))
        chosen.append(best)
        left -= int(tokens[best])
        nearest = np.maximum(nearest, similarity[best])
        taken_from[source[best]] += 1
        may_follow &= (tokens <= left) & (nearest < _DUPLICATE)
        may_follow[best] = False
    return [candidates[place] for place in sorted(chosen)]


def _similarity(sentences: Sequence[Counter[str]]) -> Scores:
    """(n, n) TF-IDF cosines with a zero diagonal. A term of one sentence counts in its length, not in a product."""
    frequency = Counter(term for terms in sentences for term in terms)
    idf = {term: math.log(1 + len(sentences) / number) for term, number in frequency.items()}
    shared = {term: column for column, term in enumerate(term for term, number in frequency.items() if number > 1)}
    matrix = np.zeros((len(sentences), len(shared)))
    lengths = np.ones(len(sentences))
    for row, terms in enumerate(sentences):
        square = 0.0
        for term, number in terms.items():
            weight = (1 + math.log(number)) * idf[term]
            square += weight * weight
            if term in shared:
                matrix[row, shared[term]] = weight
        lengths[row] = math.sqrt(square) or 1.0
    matrix /= lengths[:, None]
    similarity: Scores = matrix @ matrix.T
    np.fill_diagonal(similarity, 0.0)
    return similarity


def _page_rank(similarity: Scores, prior: Scores) -> Scores:
    """The stationary distribution of a walk along similarities that jumps back to the prior, times the prior: being
    like many sentences does not make one stand by itself."""
    jump = prior / prior.sum()
    out = similarity.sum(axis=1)
    lonely = out == 0
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
            return [_Candidate(source, start, start + len(cut), cut, estimate_tokens(cut), Counter(), 1.0)]
    return []


def _printed(chosen: Sequence[_Candidate]) -> str:
    """Sentences of one text follow each other, each text begins a line."""
    printed = ""
    for place, pick in enumerate(chosen):
        if place and chosen[place - 1].source != pick.source:
            printed += "\n"
        elif place and not _HAN_KANA.search(printed[-1:]):
            printed += " "
        printed += pick.shown
    return printed
