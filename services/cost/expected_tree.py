"""What a tree will take before anything is paid for it: levels, summaries and tokens. Pure.

The leaves are counted, not guessed: their number, their tokens and the frame that each has in a prompt. Groupers by
reading order are run as they are. What UMAP and a mixture will put together is not known without the vectors; the
constants below say what they did on 30 folders of 7 corpora in 12 languages, from 4 to 1,354 leaves, with token budgets
of 1,000, 1,800 and 3,500.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from constants.prompts import marked
from services.arrays import IntArray
from services.clustering.contiguous import document_windows
from services.clustering.headings import section_windows
from services.tree.params import TreeParams
from services.tree.summarize import clean, instructions
from utils.tokens import estimate_tokens

# Nodes of a group, by the most nodes of the level: 5.3 +- 0.6 in large levels, more in small ones; a level with no more
# nodes than the reduced space has dimensions stays whole.
GROUP_SIZES = ((19, 7.0), (130, 6.0), (10**9, 5.3))
# Groups that the token budget bounds are filled to 0.6 to 0.7 of it: they are cut in halves.
FILL = 0.65
# Of the tokens that a summary may have, and of those of its sources where they are short.
SUMMARY_SHARE, SOURCE_SHARE = 0.89, 0.5
TITLE_TOKENS = 6
# A summary stands in the next prompt with its title, and with the headings that its passages share.
TITLE = "A title of about so many letters"
MARK = "0" * 12


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """Leaves in reading order: the document and the heading path of each, and its tokens (n,)."""

    documents: Sequence[str]
    paths: Sequence[tuple[str, ...]]
    tokens: IntArray

    def __len__(self) -> int:
        return len(self.documents)


@dataclass(frozen=True, slots=True)
class LevelEstimate:
    """A level as it will probably be: its nodes are `summaries` of the nodes below. `summary_tokens` are those of all
    its texts together, which are embedded."""

    level: int
    summaries: int
    input_tokens: int
    output_tokens: int
    summary_tokens: int


def expected_levels(leaves: Leaves, params: TreeParams) -> list[LevelEstimate]:
    """From the level above the leaves to the root; none where there is no leaf."""
    levels: list[LevelEstimate] = []
    below = leaves
    while len(below) and (not levels or levels[-1].summaries > 1):
        firsts, bodies = _groups(below, len(levels), params)
        summaries = [_summary_tokens(body, params) for body in bodies]
        frames = "\n\n".join(marked("passage", MARK, 10, "", clean(" > ".join(path))) for path in below.paths)
        system = estimate_tokens(instructions(params.summary_tokens))
        levels.append(
            LevelEstimate(
                level=len(levels) + 1,
                summaries=len(firsts),
                input_tokens=round(sum(bodies)) + estimate_tokens(frames) + len(firsts) * system,
                output_tokens=round(sum(summaries)) + len(firsts) * TITLE_TOKENS,
                summary_tokens=round(sum(summaries)),
            )
        )
        below = Leaves(
            documents=[below.documents[first] for first in firsts],
            paths=[(*below.paths[first][:1], TITLE) if not levels[:-1] else (TITLE,) for first in firsts],
            tokens=np.array([max(1, round(tokens)) for tokens in summaries], np.int64),
        )
    return levels


def on_the_path(levels: Sequence[LevelEstimate], changed: int) -> list[LevelEstimate]:
    """Of these levels what a change of so many passages writes at most: each may be on a path of its own."""
    return [_part_of(level, min(changed, level.summaries)) for level in levels]


def _part_of(level: LevelEstimate, summaries: int) -> LevelEstimate:
    share = summaries / level.summaries
    return LevelEstimate(
        level=level.level,
        summaries=summaries,
        input_tokens=round(share * level.input_tokens),
        output_tokens=round(share * level.output_tokens),
        summary_tokens=round(share * level.summary_tokens),
    )


def _groups(below: Leaves, level: int, params: TreeParams) -> tuple[list[int], list[float]]:
    """For each group its first node, and the tokens of its texts as a prompt takes them."""
    n, budget = len(below), params.grouping.token_budget
    cost = np.minimum(below.tokens, params.grouping.item_cap)
    if n == 1 or (params.levels_cap is not None and level >= params.levels_cap):
        return [0], [float(min(below.tokens.sum(), budget))]
    if (windows := _windows(below, level, cost, params)) is not None:
        groups = [np.sort(window) for window in windows]
        groups.sort(key=lambda group: int(group[0]))
        return [int(group[0]) for group in groups], [float(min(cost[group].sum(), budget)) for group in groups]
    count = _mixture_groups(n, int(cost.sum()), params)
    bounds = np.linspace(0, n, count + 1).round().astype(int)
    return bounds[:-1].tolist(), [float(cost.sum()) / count] * count


def _windows(below: Leaves, level: int, cost: IntArray, params: TreeParams) -> Iterator[IntArray] | None:
    """The groups of a grouper that needs no vectors; None for the others."""
    along = np.arange(len(below))
    if params.grouper == "contiguous":
        return document_windows(along, below.documents, cost, params.grouping)
    if params.grouper == "headings" and level == 0 and any(below.paths):
        labels = [(document, *path) for document, path in zip(below.documents, below.paths, strict=True)]
        return section_windows(along, labels, cost, params.grouping)
    return None


def _mixture_groups(n: int, tokens: int, params: TreeParams) -> int:
    budget, dimensions = params.grouping.token_budget, params.grouping.dimensions
    if n <= dimensions + 1:
        expected = -(-tokens // budget)
    else:
        size = next(size for most, size in GROUP_SIZES if n <= most)
        expected = round(max(n / size, tokens / (FILL * budget)))
    return min(max(expected, 1), n // 2)


def _summary_tokens(body: float, params: TreeParams) -> float:
    return min(SUMMARY_SHARE * params.summary_tokens, SOURCE_SHARE * body + 1)
