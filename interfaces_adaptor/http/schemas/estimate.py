"""Estimates: what would be ingested or rebuilt, and what that would cost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields
from interfaces_adaptor.http.schemas.envelope import Strict
from services.cost.estimate import Estimate
from services.domain import Refine


class DocumentText(Strict):
    """A document as it would be ingested. It replaces a stored one with the same `doc_id`, `source` or file name, and
    costs nothing if unchanged."""

    text: str
    doc_id: str | None = None
    source: str | None = None
    file_name: str | None = None


class EstimateBody(ByokFields):
    """`documents` to be ingested; without them, a rebuild of the dataset is estimated. No key is needed."""

    model_config = ConfigDict(extra="forbid")

    documents: list[DocumentText] = Field(default_factory=list)
    build_tree: bool = True
    summary_llm: str | None = None
    embedding_model: str | None = None
    tree: dict[str, Any] = Field(default_factory=dict)
    chunk_size: int | None = Field(None, ge=100, le=20_000)
    chunk_overlap: int | None = Field(None, ge=0)
    refine: Refine | None = None


class EstimatedLevelOut(Strict):
    level: int
    summaries: int
    input_tokens: int
    output_tokens: int


class LineOut(Strict):
    """`cost` in US dollars; null if the model's price is unknown."""

    stage: Literal["refinement", "embed", "summary"]
    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    minutes: float


class TotalOut(Strict):
    """`cost` is null if a price is unknown; `known_cost` is the sum of the known ones."""

    calls: int
    llm_calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    known_cost: float
    minutes: float


class EstimateOut(Strict):
    dataset_id: str
    dataset_exists: bool
    documents: int
    unchanged: int
    chunks: int
    new_chunks: int
    embedding_model: str
    summary_llm: str
    tree: Literal["built", "unchanged", "none"]
    levels: list[EstimatedLevelOut]
    lines: list[LineOut]
    total: TotalOut
    unpriced: list[str]
    warnings: list[str] = Field(description="Retired models, and which ones replace them.")

    @classmethod
    def of(cls, dataset_id: str, estimate: Estimate) -> EstimateOut:
        lines = estimate.lines
        unpriced = sorted({f"{line.provider}/{line.model}" for line in lines if line.cost is None})
        known = round(sum(line.cost or 0.0 for line in lines), 6)
        return cls(
            dataset_id=dataset_id,
            dataset_exists=estimate.dataset_exists,
            documents=estimate.documents,
            unchanged=estimate.unchanged,
            chunks=estimate.chunks,
            new_chunks=estimate.new_chunks,
            embedding_model=estimate.embedding_model,
            summary_llm=estimate.summary_llm,
            tree=estimate.tree,
            levels=[
                EstimatedLevelOut(
                    level=level.level,
                    summaries=level.summaries,
                    input_tokens=level.input_tokens,
                    output_tokens=level.output_tokens,
                )
                for level in estimate.levels
            ],
            lines=[
                LineOut(
                    stage=line.stage,
                    provider=line.provider,
                    model=line.model,
                    calls=line.calls,
                    input_tokens=line.input_tokens,
                    output_tokens=line.output_tokens,
                    cost=None if line.cost is None else round(line.cost, 6),
                    minutes=round(line.minutes, 2),
                )
                for line in lines
            ],
            total=TotalOut(
                calls=sum(line.calls for line in lines),
                llm_calls=sum(line.calls for line in lines if line.stage == "summary"),
                input_tokens=sum(line.input_tokens for line in lines),
                output_tokens=sum(line.output_tokens for line in lines),
                cost=None if unpriced else known,
                known_cost=known,
                minutes=round(sum(line.minutes for line in lines), 2),
            ),
            unpriced=unpriced,
            warnings=list(estimate.warnings),
        )
