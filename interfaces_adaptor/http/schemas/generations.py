"""Generations of a dataset in requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictInt

from interfaces_adaptor.http.schemas.envelope import Hex, Strict
from services.tree.generations import Generation, Reason, RolledBack
from services.tree.nodes import tree_name


class GenerationOut(BaseModel):
    generation: int
    tree_id: str
    state: Literal["live", "kept", "erased"] = Field(
        description="`kept`: it can be rolled back to. `erased`: a document was erased since, and there is no way back."
    )
    reason: Reason = Field(
        description="`first_build`; `maintained`: what changed was worked in; `clustered`: as a whole; `mended`: "
        "summaries that were written without their model; `rolled_back`: `restored` is served again."
    )
    restored: int | None = Field(description="The generation that a roll-back brought back.")
    published_at: datetime
    superseded_at: datetime | None
    documents: int
    added: int | None = Field(description="Documents that the generation before did not have; null: not known.")
    changed: int | None = Field(description="Documents with another version than before; null: not known.")
    removed: int | None = Field(description="Documents that only the generation before had; null: not known.")
    leaves: int
    summaries: int
    written: int = Field(description="Summaries that were written for it.")
    cost: float = Field(description="US dollars.")
    usage: dict[str, Any]

    @classmethod
    def of(cls, found: Generation) -> GenerationOut:
        stats, summaries = found.stats, found.stats.get("summaries", 0)
        # A roll-back writes nothing and calls no model: what its tree cost is told where it was built.
        usage = {} if found.reason == "rolled_back" else dict(stats.get("usage", {}))
        return cls(
            generation=found.generation,
            tree_id=tree_name(found.tree_id),
            state=found.state,
            reason=found.reason,
            restored=found.restored,
            published_at=found.published_at,
            superseded_at=found.superseded_at,
            documents=found.documents,
            added=found.added,
            changed=found.changed,
            removed=found.removed,
            leaves=stats.get("leaves", 0),
            summaries=summaries,
            written=0 if found.reason == "rolled_back" else stats.get("written", summaries),
            cost=usage.get("cost", 0.0),
            usage=usage,
        )


class RollbackBody(Strict):
    generation: StrictInt = Field(ge=1, lt=2**63, description="A kept one, as `GET …/generations` lists it.")


class RollbackOut(BaseModel):
    dataset_id: str
    generation: int = Field(description="The live generation now: a new one, or the one that was live already.")
    tree_id: str
    unchanged: bool = Field(description="What was asked for was live already.")
    job_id: Hex | None = Field(description="A build that follows, where the tree does not hold just what is served.")

    @classmethod
    def of(cls, dataset_id: str, done: RolledBack) -> RollbackOut:
        return cls(
            dataset_id=dataset_id,
            generation=done.generation,
            tree_id=tree_name(done.tree_id),
            unchanged=done.unchanged,
            job_id=done.job_id,
        )
