"""The shapes that all responses share."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PlainSerializer

from services.cost.budget import Budget

Data = TypeVar("Data")
Item = TypeVar("Item")

# Ids as 32 hex digits, the form that the contract shows.
Hex = Annotated[UUID, PlainSerializer(lambda value: value.hex, return_type=str)]


class Envelope(BaseModel, Generic[Data]):
    """A successful response; `code` is the HTTP status."""

    code: int = 200
    data: Data


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    next_cursor: str | None = None


class ErrorBody(BaseModel):
    code: str
    message: str
    details: dict[str, Any] = {}


class ErrorEnvelope(BaseModel):
    """An error response."""

    error: ErrorBody


class Strict(BaseModel):
    """A body whose misspelt fields are errors, not silent defaults."""

    model_config = ConfigDict(extra="forbid")


class BudgetFields(BaseModel):
    """Limits of what the work may cost: US dollars, tokens and calls."""

    max_cost: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None

    @property
    def budget(self) -> Budget:
        """Raises InvalidRequest."""
        return Budget(self.max_cost, self.max_tokens, self.max_calls)
