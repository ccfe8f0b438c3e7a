"""What retrieval may return, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from services.domain import JsonObject
from services.retrieval.linked import LinkedDocument
from services.text.passage_text import for_models
from services.tree.nodes import NodeKind


@dataclass(frozen=True, slots=True)
class Filters:
    """What retrieval may return, decided before anything is ranked. A list matches any of its values. `comparisons`
    are of fields by their names in `services/filter_fields.py`: operators with their values.
    `section` is the beginning of a heading path."""

    doc_id: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    level: tuple[int, ...] = ()
    meta: JsonObject = field(default_factory=dict)
    comparisons: Mapping[str, JsonObject] = field(default_factory=dict)
    section: tuple[str, ...] = ()


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
    model, because that failed. `path` leads from its parent to the root; `evidence` are passages under a summary,
    where they were asked for. `table_header` belongs to the rows that a passage begins with; `links` are the
    documents that its text links to, `linked_from` those that link to its document."""

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
    table_header: str | None = None
    file_name: str | None = None
    document_title: str | None = None
    links: tuple[LinkedDocument, ...] = ()
    linked_from: tuple[LinkedDocument, ...] = ()

    @property
    def model_text(self) -> str:
        """The text as models are shown it: `table_header` belongs to the rows that it begins with."""
        return for_models(self.text, self.table_header)
