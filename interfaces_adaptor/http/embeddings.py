"""The configured embedder in OpenAI's shape, for whatever speaks to OpenAI already."""

from __future__ import annotations

import base64
from typing import Any, Literal

from fastapi import APIRouter, Request

from interfaces_adaptor.http.dependencies import ServicesOf, TenantOf
from interfaces_adaptor.http.keys import keys_of
from interfaces_adaptor.http.retrieval import checked_string
from interfaces_adaptor.http.schemas.embeddings import EmbeddingOut, EmbeddingsBody, EmbeddingsOut, EmbeddingsUsage
from services.models.embed_texts import Texts

router = APIRouter(prefix="/v1", tags=["embeddings"])


@router.post("/embeddings", response_model=EmbeddingsOut, summary="Embed texts, in OpenAI's shape")
async def create_embeddings(request: Request, services: ServicesOf, tenant: TenantOf, body: EmbeddingsBody) -> Any:
    given = [body.input] if isinstance(body.input, str) else body.input
    embedded = await services.embedder.embed(
        tenant,
        Texts(
            texts=[checked_string("input", text) for text in given],
            model=body.model,
            dimensions=body.dimensions,
            kind=body.input_type,
            keys=keys_of(request, body),
        ),
    )
    return EmbeddingsOut(
        data=[
            EmbeddingOut(index=index, embedding=encoded(vector, body.encoding_format))
            for index, vector in enumerate(embedded.vectors)
        ],
        model=embedded.space.name,
        usage=EmbeddingsUsage(
            prompt_tokens=embedded.tokens, total_tokens=embedded.tokens, cost=round(embedded.usage.cost, 9)
        ),
        truncated=embedded.truncated,
        warnings=list(embedded.warnings),
    )


def encoded(vector: Any, form: Literal["float", "base64"]) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
