"""Embeddings as OpenAI's API shapes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields

MOST_INPUTS = 64

Text = Annotated[str, Field(min_length=1)]


class EmbeddingsBody(ByokFields):
    """OpenAI's request. `input_type` is an addition: a query is embedded otherwise than a document by some models."""

    model_config = ConfigDict(extra="forbid")

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_INPUTS)]
    model: str | None = Field(None, max_length=200, description="`provider/model`; the configured one if left out.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, le=65_536)
    user: str | None = Field(None, max_length=1_000, description="Taken, and not used.")
    input_type: Literal["document", "query"] = "document"


class EmbeddingOut(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Numbers, or base64 of little-endian float32.")


class EmbeddingsUsage(BaseModel):
    """`cost` in US dollars."""

    prompt_tokens: int
    total_tokens: int
    cost: float


class EmbeddingsOut(BaseModel):
    """`truncated` inputs were longer than the model reads, and were cut; `warnings` say so where the model that was
    named is retired."""

    object: Literal["list"] = "list"
    data: list[EmbeddingOut]
    model: str
    usage: EmbeddingsUsage
    truncated: int
    warnings: list[str] = Field(default_factory=list)
