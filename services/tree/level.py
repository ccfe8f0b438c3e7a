"""One level of a tree under construction, and the pure steps from it to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from services.arrays import FloatArray
from services.clustering import Frontier, Group, Grouping, GroupingStats, Matrix
from services.cost.usage import Usage
from services.domain import JsonObject
from services.models.summary import Summary
from services.text.key_phrases import distinct_titles, shared_path
from services.tree.nodes import Edge, Leaf, PlannedNode, WrittenNode
from utils.hashing import digest_of, stable_uuid
from utils.tokens import estimate_tokens

Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(slots=True)
class Timings:
    """Seconds that each summary and each request for vectors took; `answered` of the summaries were a model's, and all
    together took `write_s`."""

    summaries_s: list[float] = field(default_factory=list)
    embeddings_s: list[float] = field(default_factory=list)
    answered: int = 0
    write_s: float = 0.0


@dataclass(slots=True)
class LevelText:
    """What was written: summaries by position, a row of `vectors` (n, d) each, and what it took."""

    summaries: list[Summary]
    vectors: FloatArray
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, slots=True)
class Level:
    """The nodes of one level as the next is made from them; position i of every field tells of node i.

    `leaves` are those that each node's text tells of, as ascending positions in the build's reading order. `paths` are
    where a node belongs: a leaf's heading path, a summary's own title under what its children's paths share. `titles`
    are distinct within the level, and `text` is what was written; leaves have neither: there may be a hundred
    thousand, and the database has their text.
    """

    number: int
    node_ids: Sequence[UUID]
    frontier: Frontier
    leaves: Sequence[Positions]
    paths: Sequence[tuple[str, ...]]
    titles: Sequence[str]
    text: LevelText | None = None
    committed: bool = True
    plan: Plan | None = None

    def __len__(self) -> int:
        return len(self.node_ids)


def leaf_level(leaves: Sequence[Leaf], vectors: Matrix) -> Level:
    return Level(
        number=0,
        node_ids=[leaf.chunk_id for leaf in leaves],
        frontier=Frontier(
            vectors=vectors,
            tokens=np.array([leaf.token_cnt for leaf in leaves], np.int64),
            keys=[leaf.key for leaf in leaves],
            order=[(leaf.document, leaf.idx) for leaf in leaves],
            paths=[leaf.heading_path for leaf in leaves],
        ),
        leaves=[np.array([position], np.int64) for position in range(len(leaves))],
        paths=[leaf.heading_path for leaf in leaves],
        titles=(),
    )


def everything(level: Level) -> Grouping:
    """All nodes in one group: what is above it is the root."""
    n = len(level)
    reading = sorted(range(n), key=lambda i: level.frontier.order[i])
    group = Group(members=tuple(reading), weights=(1.0,) * n, primary=(True,) * n)
    return Grouping((group,), GroupingStats(clusters=1, sizes=(n,), truncated=()))


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes of the next level. `kept` are those that have their text already."""

    nodes: Sequence[PlannedNode]
    kept: Mapping[UUID, WrittenNode]
    stats: JsonObject


def plan(tree_id: UUID, level: Level, grouping: Grouping) -> list[PlannedNode]:
    """The nodes of the next level. A group's key follows from its members' keys alone: the same group has the same
    key in every tree, so that it is known again after a rebuild."""
    nodes = []
    for position, group in enumerate(grouping.groups):
        keys = sorted(
            level.frontier.keys[member] + ("" if primary else "~")
            for member, primary in zip(group.members, group.primary, strict=True)
        )
        key = digest_of(keys)
        nodes.append(planned_node(tree_id, level, position, key, group, is_root=len(grouping.groups) == 1))
    return nodes


def planned_node(tree_id: UUID, level: Level, position: int, key: str, group: Group, *, is_root: bool) -> PlannedNode:
    return PlannedNode(
        node_id=stable_uuid("node", tree_id, level.number + 1, key),
        group_key=key,
        position=position,
        is_root=is_root,
        edges=tuple(
            Edge(level.node_ids[member], weight, primary)
            for member, weight, primary in zip(group.members, group.weights, group.primary, strict=True)
        ),
    )


def groups_of(below: Level, planned: Sequence[PlannedNode]) -> list[Group]:
    return [
        Group(
            members=tuple(map(int, rows)),
            weights=tuple(edge.weight for edge in node.edges),
            primary=tuple(edge.is_primary for edge in node.edges),
        )
        for node, rows in zip(planned, member_positions(below, planned), strict=True)
    ]


def member_positions(below: Level, planned: Sequence[PlannedNode]) -> list[Positions]:
    """Per node, the positions of its children in the level below, in reading order."""
    place = {node_id: position for position, node_id in enumerate(below.node_ids)}
    return [np.array([place[edge.child_id] for edge in node.edges], np.int64) for node in planned]


def next_level(
    below: Level,
    plan: Plan,
    text: LevelText,
    vectors_path: Path,
    told: Mapping[int, Positions],
    *,
    committed: bool,
) -> Level:
    """`told` are the leaves that texts of before were written from, by position."""
    planned = plan.nodes
    text.vectors.tofile(vectors_path)
    members = member_positions(below, planned)
    titles = distinct_titles([summary.titles for summary in text.summaries])
    return Level(
        number=below.number + 1,
        node_ids=[node.node_id for node in planned],
        frontier=Frontier(
            vectors=Matrix.in_file(vectors_path, (len(planned), text.vectors.shape[1])),
            tokens=np.array([estimate_tokens(summary.text) for summary in text.summaries], np.int64),
            keys=[node.group_key for node in planned],
            order=[below.frontier.order[rows[0]] for rows in members],
            paths=[()] * len(planned),
        ),
        leaves=[
            told[position] if position in told else np.unique(np.concatenate([below.leaves[row] for row in rows]))
            for position, rows in enumerate(members)
        ],
        paths=[
            (*shared_path([below.paths[row] for row in rows]), title)
            for rows, title in zip(members, titles, strict=True)
        ],
        titles=titles,
        text=text,
        committed=committed,
        plan=plan,
    )


def written_nodes(level: Level, leaves: Sequence[Leaf]) -> list[WrittenNode]:
    assert level.text is not None
    return [
        WrittenNode(
            node_id=node_id,
            chunk_ids=tuple(leaves[position].chunk_id for position in under),
            title=title,
            text=summary.text,
            token_cnt=int(tokens),
            meta=summary.meta,
        )
        for node_id, under, title, summary, tokens in zip(
            level.node_ids, level.leaves, level.titles, level.text.summaries, level.frontier.tokens, strict=True
        )
    ]


def plan_stats(level: Level, grouping: Grouping) -> dict[str, Any]:
    """What the design's logs ask of each level."""
    stats = grouping.stats
    return {
        "n": len(level),
        "clusters": stats.clusters,
        "sizes": quantiles(stats.sizes),
        "best_bic": stats.best_bic,
        "truncated": len(stats.truncated),
        "cluster_s": {stage: round(seconds, 4) for stage, seconds in stats.seconds.items()},
    }


def level_figures(level: Level) -> dict[str, Any]:
    """Of a level that is written, for the log: `n` nodes below it in so many clusters of these sizes, the BIC of the
    best clustering (None where an earlier attempt planned it), and seconds. Those of summaries and vectors are of all
    calls together, `write_s` is what they took."""
    assert level.text is not None
    assert level.plan is not None
    stats, timings = level.plan.stats, level.text.timings
    sizes = [len(node.edges) for node in level.plan.nodes]
    return {
        "tree_level": level.number,
        "n": stats.get("n", len({edge.child_id for node in level.plan.nodes for edge in node.edges})),
        "clusters": len(sizes),
        "sizes": quantiles(sizes),
        "best_score": stats.get("best_bic"),
        "cluster_s": round(sum(stats.get("cluster_s", {}).values()), 4),
        "summary_s": round(sum(timings.summaries_s), 4),
        "embed_s": round(sum(timings.embeddings_s), 4),
        "write_s": round(timings.write_s, 4),
    }


def quantiles(sizes: Sequence[int]) -> dict[str, int]:
    cuts = np.quantile(sizes, (0, 0.1, 0.5, 0.9, 1), method="nearest").tolist()
    return dict(zip(("min", "p10", "p50", "p90", "max"), map(int, cuts), strict=True))
