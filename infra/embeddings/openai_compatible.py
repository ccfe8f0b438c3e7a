"""Embeddings over the OpenAI wire format: OpenAI, TEI, vLLM, Ollama, llama.cpp. Each text stands for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import httpx2
import openai

from constants.models import EmbedderSpec
from infra.embeddings.answers import checked_vectors, embedding_usage
from infra.embeddings.batching import request_batches, single_units
from infra.llm.openai_compatible import typed
from infra.providers.access import ProviderEndpoint
from infra.providers.failures import bad_answer
from infra.providers.usage import reported_tokens
from services.arrays import FloatArray
from services.cost.usage import Usage
from services.domain import EmbeddingSpace
from services.models.embedding import EmbeddingUnit
from utils.tokens import estimate_tokens, truncate_to_tokens


class OpenAICompatibleEmbedder:
    def __init__(self, spec: EmbedderSpec, access: ProviderEndpoint, http: httpx2.AsyncClient) -> None:
        self.space = EmbeddingSpace(spec.provider, spec.model, spec.dimensions)
        self.spec = spec
        self.max_tokens = spec.max_tokens - estimate_tokens(spec.query)
        self._key = access.key
        self._client = openai.AsyncOpenAI(
            api_key=access.key, base_url=access.base_url, max_retries=0, http_client=http, organization="", project=""
        )

    def units(self, texts: Sequence[str]) -> list[EmbeddingUnit]:
        return single_units(self.space, texts)

    def requests(self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]) -> list[list[list[str]]]:
        """What is sent, one list a request: within the model's limits, never cut by the server in silence."""
        prefix = self.spec.query if kind == "query" else ""
        longest = self.spec.max_tokens - estimate_tokens(prefix)
        texts = [prefix + truncate_to_tokens(text, longest) for document in documents for text in document]
        return [[batch] for batch in request_batches(texts, self.spec.batch, self.spec.batch_tokens)]

    async def send(
        self, documents: Sequence[Sequence[str]], kind: Literal["document", "query"]
    ) -> tuple[FloatArray, Usage]:
        texts = [text for document in documents for text in document]
        options: dict[str, Any] = {"dimensions": self.spec.dimensions} if self.spec.send_dimensions else {}
        try:
            answer = await self._client.embeddings.create(
                model=self.spec.model, input=texts, encoding_format="float", **options
            )
            rows = [(int(entry.index), entry.embedding) for entry in answer.data]
        except (openai.APIError, httpx2.HTTPError, ValueError, TypeError, AttributeError) as error:
            raise typed(error, self.spec.provider, self.spec.model, self._key) from None
        if any(not isinstance(vector, list) for _, vector in rows):
            raise bad_answer(self.spec.provider, self.spec.model, "vectors in another encoding")
        vectors = checked_vectors(rows, len(texts), self.spec.dimensions, self.spec.provider, self.spec.model)
        said = reported_tokens(answer.usage, "prompt_tokens") or reported_tokens(answer.usage, "total_tokens")
        return vectors, embedding_usage(said, texts, self.spec.price)
