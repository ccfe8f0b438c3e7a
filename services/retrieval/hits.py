"""What retrieval may return, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from services.domain import JsonObject
from services.tree.nodes import NodeKind


@dataclass(frozen=True, slots=True)
class Filters:
    """What retrieval may return, decided before anything is ranked. A list matches any of its values."""

    doc_id: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    level: tuple[int, ...] = ()
    meta: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """A node and how well it answers; the larger the better."""

    node_id: UUID
    level: int
    score: float


@dataclass(frozen=True, slots=True)
class Branch:
    """A node that a traversal comes by. `whole`: all that it was written from is let through, so that it may be shown
    and not only gone through."""

    node: Scored
    whole: bool


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A step on the way from a node to the root, over primary edges. `title` is null where it is not served now."""

    node_id: UUID
    level: int
    title: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A node that was found. `chunk_ids` are the leaves under it, in reading order; a leaf has its own span, which is
    wider than its chunk where neighbours were merged into it. `degraded` is a summary that was written without its
    model, because that failed. `path` leads from its parent to the root; `evidence`
    are passages under a summary, where they were asked for."""

    node_id: UUID
    kind: NodeKind
    level: int
    score: float
    title: str | None
    text: str
    token_cnt: int
    doc_id: str | None
    source: str | None
    heading_path: tuple[str, ...]
    start: int | None
    end: int | None
    chunk_ids: tuple[UUID, ...]
    degraded: bool = False
    path: tuple[Ancestor, ...] = ()
    evidence: tuple[Hit, ...] = ()
