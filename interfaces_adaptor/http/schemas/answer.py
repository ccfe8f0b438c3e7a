"""Requests for answers, and the answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import Hex
from interfaces_adaptor.http.schemas.retrieval import FiltersBody, HitOut
from services.retrieval.answer import Answered, Citation, Evidence, Span, Statement
from services.retrieval.hits import Hit
from services.retrieval.route import Mode
from services.tree.nodes import NodeKind


class AnswerBody(ByokFields):
    """`top_k`, `max_tokens` and `filters` limit the sources, as in retrieval; `max_output_tokens` limits the length of
    the answer, `max_cost` (US dollars) and `max_calls` its cost."""

    model_config = ConfigDict(extra="forbid")

    dataset_id: str | None = None
    database_id: str | None = None
    query: str = Field(min_length=1, max_length=8_000)
    mode: Mode | None = Field(None, description="As in retrieval, with the same default.")
    top_k: int = Field(10, ge=1, le=100)
    max_tokens: int = Field(6_000, ge=1, le=1_000_000)
    filters: FiltersBody = FiltersBody()
    hybrid: bool = True
    reranker: str | None = Field(None, min_length=1, max_length=200)
    llm: str | None = Field(
        None, min_length=1, max_length=200, description="A chat model of the registry, or provider/model."
    )
    max_output_tokens: int = Field(1_024, ge=16, le=32_000)
    max_cost: float | None = None
    max_calls: int | None = None


class SourceOut(HitOut):
    """A hit with the number by which the answer cites it."""

    number: int

    @classmethod
    def numbered(cls, number: int, hit: Hit) -> SourceOut:
        return cls(number=number, **HitOut.of(hit).model_dump())


class SpanOut(BaseModel):
    """`text` is the document's `text[start:end]`. `file` is its source, else its file's name; `first_line` and
    `last_line` count from 1."""

    doc_id: str
    chunk_id: Hex
    start: int
    end: int
    text: str
    file: str | None
    heading_path: list[str]
    first_line: int | None
    last_line: int | None

    @classmethod
    def of(cls, span: Span) -> SpanOut:
        place = span.place
        return cls(
            doc_id=span.doc_id,
            chunk_id=span.chunk_id,
            start=span.start,
            end=span.end,
            text=span.text,
            file=place.file if place else None,
            heading_path=list(place.heading_path) if place else [],
            first_line=place.first_line if place else None,
            last_line=place.last_line if place else None,
        )


class CitationOut(BaseModel):
    """`resolved` is false if no source has this number."""

    number: int
    resolved: bool
    node_id: Hex | None
    kind: NodeKind | None
    spans: list[SpanOut]

    @classmethod
    def of(cls, citation: Citation) -> CitationOut:
        hit = citation.hit
        return cls(
            number=citation.number,
            resolved=hit is not None,
            node_id=hit.node_id if hit else None,
            kind=hit.kind if hit else None,
            spans=[SpanOut.of(span) for span in citation.spans],
        )


class StatementOut(BaseModel):
    """A sentence of the answer: `answer[start:end]`, with its citation markers. `mark` is `unresolved` if it cites a
    number that no source has, `uncited` if it cites nothing, else null. `unsupported` lists numbers, names and URLs
    that do not occur in the cited sources."""

    index: int
    start: int
    end: int
    text: str
    mark: Literal["unresolved", "uncited"] | None
    unsupported: list[str]
    citations: list[CitationOut]

    @classmethod
    def of(cls, index: int, statement: Statement) -> StatementOut:
        return cls(
            index=index,
            start=statement.start,
            end=statement.end,
            text=statement.text,
            mark=statement.mark,
            unsupported=list(statement.unsupported),
            citations=[CitationOut.of(citation) for citation in statement.citations],
        )


class FoundOut(BaseModel):
    """What the answer is based on; `note` says if the requested model is retired."""

    sources: list[SourceOut]
    tree_id: str | None
    mode: str
    model: str
    note: str

    @classmethod
    def of(cls, found: Evidence) -> FoundOut:
        return cls(
            sources=[SourceOut.numbered(number, hit) for number, hit in enumerate(found.retrieved.hits, 1)],
            tree_id=found.retrieved.tree_id,
            mode=found.retrieved.mode,
            model=found.model,
            note=found.note,
        )


class AnswerOut(BaseModel):
    """`found` is false if the dataset does not answer the question. `kind` is `extractive` for an answer that consists
    of sentences from the sources, without a model. `truncated`: the answer was cut off at the model's limit."""

    answer: str
    found: bool
    kind: Literal["generated", "extractive"]
    truncated: bool
    statements: list[StatementOut]

    @classmethod
    def of(cls, answered: Answered) -> AnswerOut:
        return cls(
            answer=answered.text,
            found=answered.found,
            kind=answered.kind,
            truncated=answered.truncated,
            statements=[StatementOut.of(index, one) for index, one in enumerate(answered.statements)],
        )


class WholeAnswerOut(AnswerOut):
    """The answer with its sources and its cost."""

    sources: list[SourceOut]
    tree_id: str | None
    mode: str
    model: str
    note: str
    usage: dict[str, Any]
    took_ms: float
