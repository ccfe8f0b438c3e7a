"""Filling a budget without saying anything twice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from services.retrieval.hits import Hit
from services.retrieval.window import part_of, window

Order = Literal["score", "source"]

# Words of a text that stand verbatim in what was taken already: with more than this share it says nothing new.
# A summary is held to less, because what it says beside is the gist of the same passages.
SAID_BY_PASSAGE = 0.8
SAID_BY_SUMMARY = 0.5
# A remainder shorter than this is a stump of a sentence.
LEAST_TOKENS = 12
NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
# Words in a row that make a repetition. An ideograph, syllable or kana counts as a word.
RUN = 5
_WORD = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\\W_]+")


def best(hits: Sequence[Hit], top_k: int, quotas: Mapping[int, int] | None = None) -> list[Hit]:
    """The first `top_k`, of each level in `quotas` at most so many."""
    quotas = quotas or {}
    taken: list[Hit] = []
    left = dict(quotas)
    for hit in hits:
        if len(taken) == top_k:
            break
        if left.get(hit.level, 1) > 0:
            taken.append(hit)
            left[hit.level] = left.get(hit.level, top_k) - 1 if hit.level in quotas else 1
    return taken


@dataclass(slots=True)
class Context:
    """What was taken so far."""

    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    shingles: set[int] = field(default_factory=set)
    chunks: set[UUID] = field(default_factory=set)

    def add(self, hit: Hit) -> None:
        if hit.doc_id is not None and hit.start is not None and hit.end is not None:
            self.spans.setdefault(hit.doc_id, []).append((hit.start, hit.end))
            self.chunks.update(hit.chunk_ids)
        self.shingles.update(shingles(hit.text))

    def says(self, hit: Hit) -> bool:
        found = shingles(hit.text)
        share = sum(one in self.shingles for one in found) / max(1, len(found))
        if hit.kind == "leaf":
            return share > SAID_BY_PASSAGE
        under = sum(chunk in self.chunks for chunk in hit.chunk_ids) / max(1, len(hit.chunk_ids))
        return max(share, under) > SAID_BY_SUMMARY

    def remainder(self, hit: Hit) -> Hit | None:
        """The longest part of a passage that was not taken yet; None where nothing worth the while is left."""
        if hit.doc_id is None or hit.start is None or hit.end is None:
            return hit
        free = [(hit.start, hit.end)]
        for start, end in self.spans.get(hit.doc_id, ()):
            free = [
                part
                for low, high in free
                for part in ((low, min(high, start)), (max(low, end), high))
                if part[0] < part[1]
            ]
        if free == [(hit.start, hit.end)]:
            return hit
        low, high = max(free, key=lambda part: part[1] - part[0], default=(0, 0))
        rest = part_of(hit, low, high)
        return rest if rest.token_cnt >= LEAST_TOKENS else None


def packed(
    hits: Iterable[Hit],
    top_k: int,
    max_tokens: int,
    quotas: Mapping[int, int] | None = None,
    order: Order = "score",
    weights: Mapping[str, float] = NO_WEIGHTS,
) -> list[Hit]:
    """At most `top_k` hits of at most `max_tokens` together, from `hits` in their order. What is left of the budget is
    filled with the sentences around what is asked for; `weights` are those of the question's terms.

    No range of a document is given twice, and a text is left out when most of it stands in what was taken, or, for a
    summary, when most of the passages under it do. Passages that touch in their document become one hit: neighbours
    in rank with order `score`, so that any beginning of the answer is the best for its length; all of them, in the
    order of the source, with order `source`.
    """
    quotas = quotas or {}
    context = Context()
    taken: list[Hit] = []
    used: dict[int, int] = {}
    left = max_tokens
    for hit in hits:
        if left < 1:
            break
        if used.get(hit.level, 0) >= quotas.get(hit.level, top_k):
            continue
        rest = context.remainder(hit)
        if rest is not None and rest.token_cnt > left:
            rest = window(rest, left, weights) if left >= LEAST_TOKENS else None
        if rest is None or rest.token_cnt < LEAST_TOKENS < hit.token_cnt or context.says(rest):
            continue
        if taken and touching(taken[-1], rest):
            taken[-1] = joined(taken[-1], rest)
        elif len(taken) < top_k:
            taken.append(rest)
            used[hit.level] = used.get(hit.level, 0) + 1
        else:
            continue
        context.add(rest)
        left -= rest.token_cnt
    return in_source_order(taken) if order == "source" else taken


def in_source_order(hits: Sequence[Hit]) -> list[Hit]:
    """Summaries first, the widest at the top; then passages, documents in the order of their best hit."""
    summaries = sorted((hit for hit in hits if hit.doc_id is None), key=lambda hit: -hit.level)
    rank: dict[str, int] = {}
    for hit in hits:
        if hit.doc_id is not None:
            rank.setdefault(hit.doc_id, len(rank))
    passages = sorted(
        (hit for hit in hits if hit.doc_id is not None), key=lambda hit: (rank[hit.doc_id or ""], hit.start or 0)
    )
    merged: list[Hit] = []
    for hit in passages:
        if merged and touching(merged[-1], hit):
            merged[-1] = joined(merged[-1], hit)
        else:
            merged.append(hit)
    return summaries + merged


def touching(one: Hit, other: Hit) -> bool:
    return one.doc_id is not None and one.doc_id == other.doc_id and (one.end == other.start or other.end == one.start)


def joined(one: Hit, other: Hit) -> Hit:
    """`one` with the passage before or after it; it keeps its id and its score, the better of the two."""
    first, last = (one, other) if one.end == other.start else (other, one)
    chunk_ids = tuple(dict.fromkeys(first.chunk_ids + last.chunk_ids))
    text = first.text + last.text
    return replace(
        one,
        text=text,
        token_cnt=first.token_cnt + last.token_cnt,
        table_header=first.table_header,
        start=first.start,
        end=last.end,
        chunk_ids=chunk_ids,
    )


def shingles(text: str) -> set[int]:
    tokens = _WORD.findall(text.lower())
    if len(tokens) < RUN:
        return {hash(tuple(tokens))} if tokens else set()
    return {hash(tuple(tokens[at : at + RUN])) for at in range(len(tokens) - RUN + 1)}
