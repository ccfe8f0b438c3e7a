"""The shapes that every answer shares."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PlainSerializer

Data = TypeVar("Data")
Item = TypeVar("Item")

# Ids as 32 hex digits, the form that the contract shows.
Hex = Annotated[UUID, PlainSerializer(lambda value: value.hex, return_type=str)]


class Envelope(BaseModel, Generic[Data]):
    """Every answer about a single thing; `code` is the HTTP status."""

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
    """Every error."""

    error: ErrorBody


class Strict(BaseModel):
    """A request's body: a misspelt field is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid")
