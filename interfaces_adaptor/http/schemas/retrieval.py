"""Retrieval requests and results."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import Hex
from services.retrieval.hits import Ancestor, Hit
from services.retrieval.linked import LinkedDocument
from services.retrieval.packing import Order
from services.retrieval.route import Mode
from services.tree.nodes import NodeKind

Scalar = str | int | float | bool


class Comparison(BaseModel):
    """Conditions on one field that all have to hold for one of its values: equal to it, to one of a list (`in`), to
    none (`ne`, `nin`), larger or smaller as numbers or as text such as dates, or text that begins with `prefix`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    eq: Scalar | None = None
    ne: Scalar | None = None
    any_of: list[Scalar] | None = Field(None, alias="in")
    nin: list[Scalar] | None = None
    gt: Scalar | None = None
    gte: Scalar | None = None
    lt: Scalar | None = None
    lte: Scalar | None = None
    prefix: str | None = None


class SectionPrefix(BaseModel):
    """A passage's `heading_path` has to begin with these titles."""

    model_config = ConfigDict(extra="forbid")

    prefix: str | list[str]


Wanted = str | list[str]
Level = Annotated[int, Field(ge=0, le=64)]


class FiltersBody(BaseModel):
    """A list matches any of its values; `meta.<key>` compares with the documents' front matter and `extra_meta`.
    `source`, `tags` and `meta.<key>` also take comparisons: `{"gte": "2024-01-01"}`, `{"prefix": "guides/"}`."""

    model_config = ConfigDict(extra="allow")

    doc_id: Wanted | None = None
    source: Wanted | Comparison | None = None
    tags: Wanted | Comparison | None = None
    heading_path: SectionPrefix | None = None
    level: Level | list[Level] | None = None


class RetrieveBody(ByokFields):
    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None
    query: str = Field(min_length=1, max_length=8_000)
    mode: Mode = "auto"
    top_k: int = Field(10, ge=1, le=100)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    filters: FiltersBody = FiltersBody()
    hybrid: bool = True
    reranker: str | None = Field(None, min_length=1, max_length=200)
    expand: bool = False
    order: Order = "score"
    boosts: dict[Level, Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]] = Field({}, max_length=64)
    quotas: dict[Level, Annotated[int, Field(ge=0, le=100)]] = Field({}, max_length=64)
    threshold: float | None = Field(None, ge=-1, le=1, allow_inf_nan=False)
    embed_model: str | None = Field(None, min_length=1, max_length=300)


class AncestorOut(BaseModel):
    node_id: Hex
    level: int
    title: str | None

    @classmethod
    def of(cls, ancestor: Ancestor) -> AncestorOut:
        return cls(node_id=ancestor.node_id, level=ancestor.level, title=ancestor.title)


class EvidenceOut(BaseModel):
    """A passage under a summary: `text` is characters `start` to `end` of the document."""

    chunk_id: Hex
    doc_id: str | None
    source: str | None
    heading_path: list[str]
    start: int | None
    end: int | None
    text: str

    @classmethod
    def of(cls, passage: Hit) -> EvidenceOut:
        return cls(
            chunk_id=passage.node_id,
            doc_id=passage.doc_id,
            source=passage.source,
            heading_path=list(passage.heading_path),
            start=passage.start,
            end=passage.end,
            text=passage.text,
        )


class LinkedOut(BaseModel):
    """A document at the other end of a link."""

    doc_id: str
    title: str | None
    source: str | None

    @classmethod
    def of(cls, linked: LinkedDocument) -> LinkedOut:
        return cls(doc_id=linked.doc_id, title=linked.title, source=linked.source)


class HitOut(BaseModel):
    """`path` leads from the parent to the root. `evidence` is filled if the request sets `expand`."""

    node_id: Hex
    kind: NodeKind
    level: int
    score: float
    title: str | None
    text: str
    token_cnt: int
    doc_id: str | None
    source: str | None
    file_name: str | None
    document_title: str | None
    heading_path: list[str]
    start: int | None
    end: int | None
    chunk_ids: list[Hex]
    degraded: bool = Field(
        description="A summary of its sources' own sentences, because its model failed; `retry-nodes` rewrites it."
    )
    path: list[AncestorOut]
    evidence: list[EvidenceOut]
    links: list[LinkedOut]
    linked_from: list[LinkedOut]

    @classmethod
    def of(cls, hit: Hit) -> HitOut:
        return cls(
            node_id=hit.node_id,
            kind=hit.kind,
            level=hit.level,
            score=round(hit.score, 6),
            title=hit.title,
            text=hit.text,
            token_cnt=hit.token_cnt,
            doc_id=hit.doc_id,
            source=hit.source,
            file_name=hit.file_name,
            document_title=hit.document_title,
            heading_path=list(hit.heading_path),
            start=hit.start,
            end=hit.end,
            chunk_ids=list(hit.chunk_ids),
            degraded=hit.degraded,
            path=[AncestorOut.of(ancestor) for ancestor in hit.path],
            evidence=[EvidenceOut.of(passage) for passage in hit.evidence],
            links=[LinkedOut.of(other) for other in hit.links],
            linked_from=[LinkedOut.of(other) for other in hit.linked_from],
        )


class RetrievedOut(BaseModel):
    results: list[HitOut]
    tree_id: str | None
    mode: str
    reason: str
    notes: list[str]
    usage: dict[str, Any]
    took_ms: float
