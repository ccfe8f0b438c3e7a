"""Embeddings in the format of OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from interfaces_adaptor.http.keys import ByokFields

MOST_INPUTS = 64

Text = Annotated[str, Field(min_length=1)]


class EmbeddingsBody(ByokFields):
    """OpenAI's request. `input_type` is an addition: some models embed queries and documents differently."""

    model_config = ConfigDict(extra="forbid")

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_INPUTS)]
    model: str | None = Field(None, max_length=200, description="`provider/model`; by default the configured one.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, le=65_536)
    user: str | None = Field(None, max_length=1_000, description="Accepted and ignored.")
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
    """`truncated` counts inputs that were too long for the model and were cut; `warnings` say if the requested model is
    retired."""

    object: Literal["list"] = "list"
    data: list[EmbeddingOut]
    model: str
    usage: EmbeddingsUsage
    truncated: int
    warnings: list[str] = Field(default_factory=list)
