"""The way down a tree (RAPTOR, section 3): from the root, level by level, to what is most like the query."""

from __future__ import annotations

from services.arrays import FloatArray
from services.domain import Dataset
from services.errors import TreeNotFound
from services.retrieval.hits import Branch, Scored
from services.retrieval.query import Query
from services.retrieval.search_storage import SearchStorage


async def traverse(work: SearchStorage, dataset: Dataset, query: Query, vector: FloatArray) -> list[Scored]:
    """From the root down, the best children of the nodes visited one level above, in that order: a summary stands
    before what it is made of. Raises TreeNotFound."""
    if dataset.live_tree_id is None:
        raise TreeNotFound(dataset_id=dataset.dataset_id)
    taken: list[Scored] = []
    branches = await work.children(dataset, vector, None, 1, query.filters)
    while branches:
        taken += [branch.node for branch in branches if branch.whole and wants(query, branch.node.level)]
        parents = [branch.node.node_id for branch in branches if branch.node.level > 0]
        width = width_below(query, branches[0].node.level, len(taken))
        if not parents or width < 1:
            break
        branches = await work.children(dataset, vector, parents, width, query.filters)
        branches = [branch for branch in branches if like_enough(query, branch)]
    return taken


def width_below(query: Query, level: int, taken: int) -> int:
    """How many nodes to visit on the next level: what is left of `top_k`, shared out among the wanted levels below;
    what a level does not fill is left to those under it. 0 where nothing is left to look for."""
    levels = sum(wants(query, below) for below in range(level))
    left = query.top_k - taken
    return -(-left // levels) if levels and left > 0 else 0


def wants(query: Query, level: int) -> bool:
    return not query.filters.level or level in query.filters.level


def like_enough(query: Query, branch: Branch) -> bool:
    return query.threshold is None or branch.node.score >= query.threshold
