"""A whole, read from its widest summaries down: what stands over it, and the sentences of a digest under that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from uuid import UUID

from services.domain import Dataset
from services.retrieval.digest import digest
from services.retrieval.expand import expanded
from services.retrieval.hits import Ancestor, Filters, Hit, Scored
from services.retrieval.scope import Scope
from services.retrieval.search_storage import SearchStorage
from services.retrieval.window import part_of
from services.text.subjects import leading
from services.text.words import words

# Nodes that the sentences of a digest are taken from, and its length where no budget is given.
OUTLINE = 512
DIGEST_TOKENS = 2_000
# Summaries that may stand over a whole together where no single one does, and how much of it they have to cover.
MOST_ABOVE = 3
LEAST_COVERED = 0.6
# Of the budget, the share that summaries may take.
SUMMARY_SHARE = 0.5
# Tokens of the sentences on the whole where it has no summary, and how many sections are told of then.
OVERVIEW_TOKENS = 120
MOST_OPENINGS = 8


@dataclass(frozen=True, slots=True)
class Whole:
    """`above` are the widest summaries that tell of the whole and of nothing else, `below` the next under each of
    them; `nodes` what a digest is made of, in reading order. Each has its path."""

    above: Sequence[Hit]
    below: Sequence[Hit]
    nodes: Sequence[Hit]


async def read_whole(work: SearchStorage, dataset: Dataset, scope: Scope, *, expand: bool) -> Whole:
    """With `expand` each summary has its evidence."""
    ids = await work.outline(dataset, scope.filters, OUTLINE)
    nodes = await work.hits(dataset, [Scored(node_id, 0, 0.0) for node_id in ids], scope.filters)
    paths = await work.paths(dataset, ids)
    nodes = [replace(hit, path=paths.get(hit.node_id, ())) for hit in nodes]
    told = {chunk for hit in nodes for chunk in hit.chunk_ids}
    summaries = await summaries_over(work, dataset, scope.filters, chain.from_iterable(paths.values()))
    if expand:
        summaries = await expanded(work, dataset, scope.filters, summaries, {})
    above = widest(summaries, told)
    parents = {hit.node_id for hit in above}
    below = [hit for hit in summaries if hit.path and hit.path[0].node_id in parents]
    return Whole(above, sorted(below, key=lambda hit: -len(hit.chunk_ids)), nodes)


async def summaries_over(
    work: SearchStorage, dataset: Dataset, filters: Filters, steps: Iterable[Ancestor]
) -> list[Hit]:
    """Those of the ancestors that the filters let through, each once, with their paths."""
    levels = {step.node_id: step.level for step in steps if not filters.level or step.level in filters.level}
    found = await work.hits(dataset, [Scored(node_id, level, 0.0) for node_id, level in levels.items()], filters)
    paths = await work.paths(dataset, [hit.node_id for hit in found])
    return [replace(hit, path=paths.get(hit.node_id, ())) for hit in found]


def widest(summaries: Sequence[Hit], told: set[UUID]) -> list[Hit]:
    """The fewest that cover most of `told`, the widest first; none where so few cover too little of it."""
    covered: set[UUID] = set()
    taken: list[Hit] = []
    for hit in sorted(summaries, key=lambda hit: (-len(hit.chunk_ids), -hit.level, hit.node_id)):
        if len(taken) < MOST_ABOVE and covered.isdisjoint(hit.chunk_ids):
            taken.append(hit)
            covered.update(hit.chunk_ids)
    return taken if len(covered & told) >= LEAST_COVERED * len(told) else []


def digest_of(whole: Whole, top_k: int, max_tokens: int | None, *, deep: bool) -> list[Hit]:
    """The summaries over the whole, with `deep` also those under them, then a digest of what they do not say. Without
    summaries the sentences that say best what it is about stand there."""
    left = DIGEST_TOKENS if max_tokens is None else max_tokens
    bound = SUMMARY_SHARE * left
    first: list[Hit] = []
    for hit in [*whole.above, *(whole.below if deep else ())] or overview(whole.nodes):
        if hit.token_cnt <= bound and len(first) < max(1, top_k // 2):
            first.append(hit)
            bound -= hit.token_cnt
            left -= hit.token_cnt
    said = Counter(term for hit in first for term in set(words(hit.text)))
    rest = digest(whole.nodes, top_k - len(first), left, said)
    best = rest[0].score if rest else 0.0
    return [*(replace(hit, score=best) for hit in first), *rest]


def overview(nodes: Sequence[Hit]) -> list[Hit]:
    """For want of a summary: what the passage that opens the whole says it is about, then the same of each section."""
    found: list[Hit] = []
    shared = common_path([hit.heading_path for hit in nodes])
    begun: set[tuple[str | None, tuple[str, ...]]] = set()
    for hit in nodes:
        section = (hit.doc_id, hit.heading_path[: len(shared) + 1])
        if section not in begun and hit.start is not None and len(found) < MOST_OPENINGS:
            begun.add(section)
            title = section[1][-1] if section[1] else ""
            sentences = leading(hit.text, title, OVERVIEW_TOKENS)
            found += [
                part_of(hit, hit.start + sentence.start, hit.start + sentence.end)
                for sentence in (sentences if not found else sentences[:1])
            ]
    return found


def common_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The titles that all of the paths begin with."""
    shared = paths[0] if paths else ()
    for path in paths:
        same = (one == other for one, other in zip(shared, path, strict=False))
        shared = shared[: sum(1 for _ in takewhile(bool, same))]
    return shared
