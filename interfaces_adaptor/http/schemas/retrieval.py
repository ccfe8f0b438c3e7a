"""Questions and what is found."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import Hex
from services.domain import Hit, NodeKind

Wanted = str | list[str]


class FiltersBody(BaseModel):
    """Any value of a list matches; `meta.<key>` compares with the documents' `extra_meta`."""

    model_config = ConfigDict(extra="allow")

    doc_id: Wanted | None = None
    source: Wanted | None = None
    tags: Wanted | None = None
    level: Annotated[int, Field(ge=0, le=64)] | list[Annotated[int, Field(ge=0, le=64)]] | None = None


class RetrieveBody(ByokFields):
    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None
    query: str = Field(min_length=1, max_length=8_000)
    mode: Literal["collapsed", "tree_traversal", "leaves"] = "collapsed"
    top_k: int = Field(10, ge=1, le=100)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    filters: FiltersBody = FiltersBody()


class HitOut(BaseModel):
    node_id: Hex
    kind: NodeKind
    level: int
    score: float
    title: str | None
    text: str
    token_cnt: int
    doc_id: str | None
    source: str | None
    heading_path: list[str]
    start: int | None
    end: int | None
    chunk_ids: list[Hex]

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
            heading_path=list(hit.heading_path),
            start=hit.start,
            end=hit.end,
            chunk_ids=list(hit.chunk_ids),
        )


class RetrievedOut(BaseModel):
    results: list[HitOut]
    tree_id: str | None
    mode: str
    usage: dict[str, Any]
    took_ms: float
